"""A started sandbox: its output line by line, its end, its stop."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import logging
import os
import select
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sagemaker_local.executors import init
from sagemaker_local.executors.base import Dial, LineSink
from sagemaker_local.executors.confinement import Confined

logger = logging.getLogger(__name__)

LINE_CHARACTERS = 256 * 1024
"""Longer lines are cut into several: the largest event that CloudWatch Logs takes is 256 KiB."""

ANSWER_TIMEOUT_S = 10.0
"""Init answers at once, unless the machine is very busy."""

INIT = str(Path(init.__file__).resolve())
BASE_PYTHON = os.path.realpath(sys.executable)


def init_command(lifeline: int, workdir: str, command: Sequence[str]) -> list[str]:
    """The command line of :mod:`sagemaker_local.executors.init` around a program."""
    return [BASE_PYTHON, "-I", "-S", "-B", INIT, str(lifeline), workdir, *command]


class SandboxProcess:
    """A running program in its sandbox (a :class:`~sagemaker_local.executors.base.RunningProgram`).

    Args:
        process: The outermost process of the sandbox.
        lifeline: The server's end of init's lifeline; closing it kills everything in the sandbox.
        own_network: Whether only init can reach what the program listens on.
        log: Takes the program's lines.
        scratch: Removed when the program has ended.
        confined: What keeps it to its limits.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        lifeline: socket.socket,
        log: LineSink,
        scratch: Path | None,
        confined: Confined,
        *,
        own_network: bool = False,
    ) -> None:
        self._process = process
        self._lifeline: socket.socket | None = lifeline
        self._own_network = own_network
        self._dialling = asyncio.Lock()
        self._confined = confined
        self._out_of_memory = False
        self._ended_at: float | None = None
        self._ended = asyncio.create_task(self._follow(log, scratch))

    @property
    def pid(self) -> int:
        """Process id of the sandbox on the host."""
        return self._process.pid

    @property
    def address(self) -> None:
        """It listens where it was told."""
        return None

    @property
    def dial(self) -> Dial | None:
        """Connects to a program in a network of its own."""
        return self._connect if self._own_network else None

    @property
    def out_of_memory(self) -> bool:
        """Whether its memory limit killed a process of it; known once it has ended."""
        return self._out_of_memory

    @property
    def ended_at(self) -> float | None:
        """When its output ended."""
        return self._ended_at

    async def wait(self) -> int:
        """Exit code once it ended and its output was handed on; 128 + n when signal n ended it."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace_s: float) -> int:
        """SIGTERM to the program, SIGKILL to everything after ``grace_s`` seconds."""
        if self._lifeline is not None and grace_s > 0:
            with contextlib.suppress(OSError):
                self._lifeline.send(b"T")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):  # wait_for of 3.11 can lose a cancellation
                    return await self.wait()
        self._cut()
        return await self.wait()

    def _cut(self) -> None:
        if self._lifeline is not None:
            with contextlib.suppress(OSError):
                self._lifeline.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for an answer
            self._lifeline.close()
            self._lifeline = None

    async def _connect(self) -> socket.socket:
        async with self._dialling:
            if self._lifeline is None:
                raise ConnectionRefusedError("the sandbox has ended")
            return await asyncio.to_thread(_ask_for_connection, self._lifeline)

    async def _follow(self, log: LineSink, scratch: Path | None) -> int:
        try:
            await _pump(self._process.stdout, log)
            self._ended_at = time.time()
            code = await self._process.wait()
        finally:
            self._cut()
            self._out_of_memory = self._confined.out_of_memory
            await asyncio.to_thread(self._confined.remove)
            if scratch is not None:
                await asyncio.to_thread(remove_tree, scratch)
        return 128 - code if code < 0 else code


async def start_supervised(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: LineSink,
    wrapper: Sequence[str] = (),
    workdir: str = "/",
    scratch: Path | None = None,
    confined: Confined | None = None,
    own_network: bool = False,
) -> SandboxProcess:
    """Start a program under init, inside a sandbox when there is a wrapper.

    Called on the event loop, so that the forking thread, to which parent-death signals are tied, lives as
    long as the server.

    Args:
        command: The program and its arguments.
        environment: The program's whole environment.
        log: Takes its output.
        wrapper: Command line that makes the sandbox and runs in it what follows.
        workdir: The program's working directory, as it sees it.
        scratch: Directory to remove when the program has ended.
        confined: What keeps it to its limits; its command is part of the wrapper.
        own_network: Whether the wrapper gives it one, into which only init leads.
    """
    inner, lifeline = socket.socketpair()
    try:
        process = await asyncio.create_subprocess_exec(
            *wrapper,
            *init_command(inner.fileno(), workdir, command),
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(inner.fileno(),),
            start_new_session=True,  # Ctrl-C in the server's terminal is the server's to handle
            cwd="/",
        )
    except BaseException:
        lifeline.close()
        raise
    finally:
        inner.close()
    return SandboxProcess(process, lifeline, log, scratch, confined or Confined(), own_network=own_network)


def _ask_for_connection(lifeline: socket.socket) -> socket.socket:
    lifeline.settimeout(ANSWER_TIMEOUT_S)
    lifeline.send(b"C")
    answer, handed, _, _ = socket.recv_fds(lifeline, 1, 1)
    if not handed:
        raise ConnectionRefusedError("the program does not listen" if answer else "the sandbox has ended")
    connection = socket.socket(fileno=handed[0])
    connection.setblocking(False)
    # Init does not wait for it to be established: it must not miss what else it is for.
    waiting = select.poll()  # select() takes no descriptor above 1023
    waiting.register(connection, select.POLLOUT)
    waiting.poll(ANSWER_TIMEOUT_S * 1000)
    if code := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        connection.close()
        raise OSError(code, os.strerror(code))
    return connection


async def _pump(stream: asyncio.StreamReader | None, log: LineSink) -> None:
    assert stream is not None
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    while chunk := await stream.read(65536):
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            _hand_on(line, log)
        while len(rest) > LINE_CHARACTERS:
            _hand_on(rest[:LINE_CHARACTERS], log)
            rest = rest[LINE_CHARACTERS:]
    if rest := rest + decoder.decode(b"", final=True):
        _hand_on(rest, log)


def _hand_on(line: str, log: LineSink) -> None:
    line = line.removesuffix("\r")
    for start in range(0, max(len(line), 1), LINE_CHARACTERS):
        log(line[start : start + LINE_CHARACTERS])


def remove_tree(directory: Path) -> None:
    """Remove a directory that a program may have made unreadable or read-only for itself."""
    if not directory.exists():
        return
    for folder, names, _ in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and not os.access(path, os.W_OK | os.X_OK | os.R_OK):
                with contextlib.suppress(OSError):  # gone meanwhile: what fails here never ends its job
                    os.chmod(path, 0o700)
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        logger.warning("%s could not be removed; it is taken away when the server starts next", directory)
