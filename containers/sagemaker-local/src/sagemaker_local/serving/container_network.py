"""Where a container listens: on a port of the machine that it is told, or on 8080 of a network of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys

from sagemaker_local.executors.base import Executor, LineSink
from sagemaker_local.serving.container import Container

PORT = 8080
"""Where AWS's contract has model servers listen."""

_taken: dict[int, socket.socket | None] = {}
"""Ports of this server's containers, with what keeps other servers from them."""
_listening_regardless: set[str] = set()
"""Images that were seen to listen on 8080 whatever they are told."""


class ContainerNetwork:
    """Which network a container has.

    Args:
        container: An isolated one, or one whose image is known to listen on 8080, has its own from the start.
        executor: Tells whether it can have one.
        log: Hears of changes.

    Attributes:
        own: Whether it has a network of its own, with no way out.
    """

    def __init__(self, container: Container, executor: Executor, log: LineSink) -> None:
        self._image = container.image
        self._executor = executor
        self._log = log
        # With an interface of its own each container has its own 8080, and a way out besides.
        self._own_ports = executor.network_interface != "lo"
        self.own = container.isolated or container.image in _listening_regardless

    def take_port(self) -> int:
        """The port for the container's next start: nobody else's, until it is released."""
        return PORT if self.own and self._executor.own_networks else _free_port()

    def release(self, port: int) -> None:
        """The container that had the port has ended."""
        if (held := _taken.pop(port, None)) is not None:
            held.close()

    async def moves(self, elsewhere: bool) -> bool:
        """Whether a container that did not come up gets a network of its own now.

        Args:
            elsewhere: It was seen to listen on 8080. One that ended while somebody else had that port may
                have wanted it, too.
        """
        if self.own or self._own_ports or not (elsewhere or await asyncio.to_thread(is_taken, PORT)):
            return False
        if not self._executor.own_networks:
            self._log(
                f"The executor '{self._executor.name}' cannot serve a container that listens on {PORT}."
            )
            return False
        if elsewhere:
            _listening_regardless.add(self._image)
        self.own = True
        self._log(
            f"The container is started again in a network of its own, where {PORT} is free: nothing leads "
            "out of it. To keep the machine's network, listen on SAGEMAKER_BIND_TO_PORT."
        )
        return True


def is_taken(port: int) -> bool:
    """Whether anybody accepts connections on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listens_on(pid: int, port: int) -> bool:
    """Whether a process, or one below it, accepts connections on a TCP port."""
    import psutil  # only where a container does not answer at once

    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                found = process.net_connections("tcp")
                if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in found):
                    return True
    return False


def _free_port() -> int:
    """A port that nobody listens on and that no other container was given, of this server or of another."""
    while True:
        port = _unused_port()
        if port in _taken:
            continue
        with contextlib.suppress(_Reserved):
            _taken[port] = _reserve(port)
            return port


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Reserved(Exception):
    """Another server gave the port to a container."""


def _reserve(port: int) -> socket.socket | None:
    """Keep other servers of this machine from a port until its container listens on it.

    They would take the answers of one container for those of another. A name that only the kernel knows is as
    wide as the ports are, one network, and goes with this process, however it ends.

    Raises:
        _Reserved: another server has it.
    """
    if sys.platform != "linux":
        return None
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0sagemaker-local/port/{port}")
    except OSError as error:
        held.close()
        if error.errno == errno.EADDRINUSE:
            raise _Reserved from error
        return None  # there are no such names here
    return held
