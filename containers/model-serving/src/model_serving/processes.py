"""The parent: opens the port, loads the model, parts into workers, replaces those that die, ends them all.

Every worker has a listening socket of its own for the one port (SO_REUSEPORT), so the kernel spreads
connections evenly. The parent keeps them open: connections to a worker that died wait for the one that takes
its place.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from model_serving.errors import StartError
from model_serving.request_log import say
from model_serving.settings import Settings

BACKLOG = 2048
YOUNG_S = 2.0
FAILED_STARTS = 5
HANDED_ON = "MODEL_SERVER_LISTENERS"
"""Numbers of open sockets; set by this program for itself only."""

CANNOT_START = 3
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}

Work = Callable[[socket.socket, int, int | None], None]


def listen(settings: Settings) -> list[socket.socket]:
    """A listening socket for each worker.

    Raises:
        StartError: the port is taken.
    """
    if handed_on := os.environ.pop(HANDED_ON, ""):
        return [socket.socket(fileno=int(number)) for number in handed_on.split(",")]
    address = (settings.host, settings.port)
    try:
        # With SO_REUSEPORT a second server would share the port unnoticed: look without it first.
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        return [_listener(address, settings.workers > 1) for _ in range(settings.workers)]
    except OSError as error:
        raise StartError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; stop what uses the port, "
            "or set SAGEMAKER_BIND_TO_PORT"
        ) from error


def hand_on(listeners: list[socket.socket]) -> None:
    """Keep the sockets, and who waits at them, for the program that this process becomes."""
    for listener in listeners:
        listener.set_inheritable(True)
    os.environ[HANDED_ON] = ",".join(str(listener.fileno()) for listener in listeners)


def _listener(address: tuple[str, int], shared: bool) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(address)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


@dataclass(frozen=True, slots=True)
class _Worker:
    number: int
    started: float


class Parent:
    """Keeps as many workers as there are sockets.

    Args:
        listeners: One for each worker.
        work: Serves on a socket; gets the worker's number and the pipe that ends with the parent.
        drain_s: How long workers have to finish.
    """

    def __init__(self, listeners: list[socket.socket], work: Work, drain_s: float) -> None:
        self._listeners = listeners
        self._work = work
        self._drain_s = drain_s
        self._workers: dict[int, _Worker] = {}
        self._failed_starts = 0
        self._lifeline, self._hold = os.pipe()

    def run(self) -> int:
        """Serve until SIGTERM; the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        # What is there now is shared with the workers: a collection would write to, and so copy, every page.
        gc.collect()
        gc.freeze()
        for number in range(len(self._listeners)):
            self._start(number)
        while True:
            got = signal.sigwaitinfo(SIGNALS)
            if got.si_signo != signal.SIGCHLD:
                self._end()
                return 0
            if not self._replace_dead():
                self._end()
                return 1

    def _start(self, number: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._be_worker(number)
        self._workers[pid] = _Worker(number, time.monotonic())

    def _be_worker(self, number: int) -> None:
        code = 0
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.close(self._hold)
            for other, listener in enumerate(self._listeners):
                if other != number:
                    listener.close()
            self._work(self._listeners[number], number, self._lifeline)
        except StartError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            code = CANNOT_START
        except SystemExit:  # SIGTERM before it served
            pass
        except BaseException:  # a worker must never go on as a second parent
            traceback.print_exc()
            code = 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _replace_dead(self) -> bool:
        """Start a worker in place of each that ended; False when that is of no use."""
        for pid, status in _ended():
            worker = self._workers.pop(pid, None)
            if worker is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            if code == CANNOT_START:
                return False
            lived_s = time.monotonic() - worker.started
            self._failed_starts = self._failed_starts + 1 if lived_s < YOUNG_S else 0
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            if self._failed_starts >= FAILED_STARTS:
                print(
                    f"error: workers end as soon as they start, the last with {how}; see the lines above",
                    file=sys.stderr,
                    flush=True,
                )
                return False
            say(f"worker {worker.number} (process {pid}) ended with {how}; replacing it")
            self._start(worker.number)
        return True

    def _end(self) -> None:
        """Let workers finish what is under way; kill those that do not."""
        for listener in self._listeners:
            listener.close()
        self._tell(signal.SIGTERM)
        deadline = time.monotonic() + self._drain_s + 2
        while self._workers and (left_s := deadline - time.monotonic()) > 0:
            signal.sigtimedwait({signal.SIGCHLD}, min(left_s, 0.5))
            for pid, _ in _ended():
                self._workers.pop(pid, None)
        self._tell(signal.SIGKILL)

    def _tell(self, number: int) -> None:
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _ended() -> list[tuple[int, int]]:
    """Children that ended, with their status."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while (done := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append(done)
    return ended
