"""A started container: its output line by line, its end, its stop; removed when it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagemaker_local.executors.base import LineSink
from sagemaker_local.executors.docker_engine import remove_container
from sagemaker_local.executors.docker_lines import Lines

if TYPE_CHECKING:
    from aiodocker import Docker
    from aiodocker.stream import Stream

logger = logging.getLogger(__name__)

INIT_WAIT_S = 10.0
INIT_POLL_S = 0.01

OOM_LOOKS = 30
OOM_POLL_S = 0.1

KILLED = 137
"""Exit code of SIGKILL; also when the engine can no longer say it."""


class ContainerProgram:
    """A running container (a :class:`~sagemaker_local.executors.base.RunningProgram`).

    Args:
        docker: The engine.
        identity: The container.
        pid: Its first process on the host.
        address: Where its model server listens.
        output: Attached before it started, so that no line is missing.
        log: Takes its lines.
        ended: Called when the container is gone.
    """

    def __init__(
        self,
        docker: Docker,
        identity: str,
        *,
        pid: int,
        address: tuple[str, int] | None,
        output: Stream,
        log: LineSink,
        ended: Callable[[], Awaitable[None]],
    ) -> None:
        self._docker = docker
        self._container = docker.containers.container(identity)
        self._identity = identity
        self._pid = pid
        self._address = address
        self._out_of_memory = False
        self._killed = False
        self._log = log
        self._on_end = ended
        self._ended = asyncio.create_task(self._follow(output), name=f"container {identity[:12]}")
        self._ended_at: float | None = None

    @property
    def pid(self) -> int:
        """Process id on the host of what the container runs."""
        return self._pid

    @property
    def dial(self) -> None:
        """Its address leads to it, with and without a network."""
        return None

    @property
    def address(self) -> tuple[str, int] | None:
        """Its own address and AWS's port, when it has a network."""
        return self._address

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel killed something in it because its memory limit was reached."""
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
        if not self._ended.done() and grace_s > 0:
            await self._until_init()
            await self._signal("SIGTERM")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):  # wait_for of 3.11 can lose a cancellation
                    return await self.wait()
        if not self._ended.done():
            self._killed = True
            await self._signal("SIGKILL")
        return await self.wait()

    async def _until_init(self) -> None:
        """Wait until docker-init has started the program, from when on it passes on signals.

        Before that they are lost: the kernel keeps from process 1 what it has no handler for.
        """
        children = Path("/proc", str(self._pid), "task", str(self._pid), "children")
        for _ in range(int(INIT_WAIT_S / INIT_POLL_S)):
            try:
                if children.read_text().strip():
                    return
            except OSError:
                return  # it has ended
            await asyncio.sleep(INIT_POLL_S)

    async def _signal(self, name: str) -> None:
        import aiodocker
        import aiohttp

        # It may have ended by itself, or with the engine; following it finds out.
        with contextlib.suppress(aiodocker.DockerError, aiohttp.ClientError, OSError):
            await self._container.kill(signal=name)

    async def _follow(self, output: Stream) -> int:
        import aiodocker
        import aiohttp

        try:
            await self._pump(output)
            code = int((await self._container.wait())["StatusCode"])
            self._out_of_memory = await self._was_out_of_memory(code)
        except (aiodocker.DockerError, aiohttp.ClientError, OSError) as error:
            logger.warning("container %s was lost: %s", self._identity[:12], error)
            self._log(f"sagemaker-local: the container was lost: {error}; is Docker's engine running?")
            code = KILLED
        finally:
            with contextlib.suppress(aiodocker.DockerError, aiohttp.ClientError, OSError):
                await remove_container(self._docker, self._identity)
            # Also when the engine could not remove it: its place in the network is free all the same.
            with contextlib.suppress(aiodocker.DockerError, aiohttp.ClientError, OSError):
                await self._on_end()
        return code

    async def _was_out_of_memory(self, code: int) -> bool:
        """Whether the engine says so, which it may do a moment after it told of the end.

        It hears of the two by different ways: https://github.com/moby/moby/blob/master/daemon/monitor.go
        """
        for _ in range(OOM_LOOKS):
            shown: dict[str, Any] = await self._container.show()
            if shown["State"].get("OOMKilled"):
                return True
            if code != KILLED or self._killed or not shown["HostConfig"].get("Memory"):
                return False
            await asyncio.sleep(OOM_POLL_S)
        return False

    async def _pump(self, output: Stream) -> None:
        streams: dict[int, Lines] = {}
        try:
            while (message := await output.read_out()) is not None:
                streams.setdefault(message.stream, Lines(self._log)).feed(message.data)
        finally:
            self._ended_at = time.time()
            for lines in streams.values():
                lines.close()
            await output.close()
