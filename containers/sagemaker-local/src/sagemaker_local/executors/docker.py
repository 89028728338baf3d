"""Programs as containers of Docker's engine: the same contract as the sandboxes, with images really built.

Chosen by ``--executor docker``. The engine must run on this machine: it binds directories of this server into
containers, and containers reach this server over a bridge of this machine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import subprocess
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sagemaker_local.executors import docker_reaper
from sagemaker_local.executors.base import LineSink, Program, RunningProgram, Source
from sagemaker_local.executors.docker_container import SERVING_PORT, Place, container_config
from sagemaker_local.executors.docker_engine import (
    LABEL_DATA,
    LABEL_SERVER,
    Engine,
    EngineUnavailable,
    check,
    connect,
    engine_socket,
    remove_container,
    remove_leftovers,
    spoken,
)
from sagemaker_local.executors.docker_image import DockerImages
from sagemaker_local.executors.docker_network import ContainerNetworks, Joined
from sagemaker_local.executors.docker_program import ContainerProgram
from sagemaker_local.executors.process import BASE_PYTHON
from sagemaker_local.images.image import ImageFolders
from sagemaker_local.settings import Settings

if TYPE_CHECKING:
    import aiodocker

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class DockerExecutor:
    """Programs in containers (an :class:`~sagemaker_local.executors.base.Executor`).

    What an earlier server of the same data directory left in the engine is removed here, before anything else
    happens; what this one leaves if it is killed, :mod:`~sagemaker_local.executors.docker_reaper` removes.

    Args:
        images: Where images come from.
        settings: The server's.

    Raises:
        EngineUnavailable: no engine answers.
    """

    name = "docker"
    own_networks = True
    network_interface = "eth0"

    def __init__(self, images: ImageFolders, settings: Settings) -> None:
        self._settings = settings
        self._images = DockerImages(images)
        self._labels = {LABEL_DATA: str(settings.data_dir), LABEL_SERVER: secrets.token_hex(8)}
        self._networks = ContainerNetworks(settings, self._labels)
        self._client: aiodocker.Docker | None = None
        self._lifeline: int | None = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._programs: set[ContainerProgram] = set()
        self._engine = _run_apart(_greet(settings.data_dir))
        logger.info("Docker's engine %s answers", self._engine.version)

    async def prepare(self, image: str | Source, log: LineSink) -> None:
        """Build the image's folder, or pull the image, when the engine does not have it."""
        await self._images.ready(self._docker(), image, log)

    async def start(self, program: Program, log: LineSink) -> RunningProgram:
        """Start a program of an image in a container of its own."""
        docker = self._docker()
        image = await self._images.ready(docker, program.image, log)
        async with spoken(f"Starting a container of image '{image}'"):
            self._watch_over()
            found = await self._images.inspect(docker, image, self._labels)
            await asyncio.to_thread(_open_to, program.opt_ml, found.user)
            joined = await self._networks.join(docker, program)
            try:
                config = container_config(program, found, self._place(joined))
                return await self._started(docker, config, joined, log)
            except BaseException:
                await asyncio.shield(self._networks.leave(docker, joined))
                raise

    async def close(self) -> None:
        """Remove what is left in the engine and let go of it."""
        if self._client is not None:
            with contextlib.suppress(Exception):  # of whatever kind: an engine that is gone has nothing left
                await remove_leftovers(self._client, self._settings.data_dir)
            await asyncio.gather(*(program.wait() for program in self._programs), return_exceptions=True)
            await self._networks.close(self._client)
            await self._client.close()
            self._client = None
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if self._reaper is not None:
            await asyncio.to_thread(self._reaper.wait)
            self._reaper = None

    async def _started(
        self, docker: aiodocker.Docker, config: dict[str, Any], joined: Joined, log: LineSink
    ) -> ContainerProgram:
        container = await docker.containers.create(config)
        output = container.attach(stdout=True, stderr=True)
        try:
            await output.__aenter__()  # attached before the start, so that no line is missing
            await container.start()
            shown = await container.show()
        except BaseException:
            await output.close()
            await asyncio.shield(remove_container(docker, container.id))
            raise
        own = shown["NetworkSettings"]["Networks"].get(joined.network, {}).get("IPAddress")

        async def ended() -> None:
            self._programs.discard(program)
            await self._networks.leave(docker, joined)

        program = ContainerProgram(
            docker,
            container.id,
            pid=int(shown["State"]["Pid"]),
            address=(own, SERVING_PORT) if own else None,
            output=output,
            log=log,
            ended=ended,
        )
        self._programs.add(program)
        return program

    def _place(self, joined: Joined) -> Place:
        as_root = os.geteuid() == 0 or self._engine.rootless
        return Place(
            labels=self._labels,
            joined=joined,
            processors=self._engine.processors,
            user=None if as_root else f"{os.getuid()}:{os.getgid()}",
            own_urls=self._networks.own_urls,
        )

    def _docker(self) -> aiodocker.Docker:
        if self._client is None:
            self._client = connect()
        return self._client

    def _watch_over(self) -> None:
        """Start the process that removes our containers when we cannot any more."""
        socket = engine_socket()
        if self._lifeline is not None or socket is None:
            return
        lifeline_read, self._lifeline = os.pipe()
        label = f"{LABEL_SERVER}={self._labels[LABEL_SERVER]}"
        try:
            self._reaper = subprocess.Popen(
                [BASE_PYTHON, "-I", "-S", "-B", str(Path(docker_reaper.__file__).resolve()),
                 str(lifeline_read), str(socket), label],
                pass_fds=(lifeline_read,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={},
            )  # fmt: skip
        finally:
            os.close(lifeline_read)


async def _greet(data_dir: Path) -> Engine:
    """Find out about the engine, and remove what an earlier server of this data directory left in it."""
    docker = connect()
    try:
        engine = await check(docker)
        if left := await remove_leftovers(docker, data_dir):
            logger.info("removed %d containers that an earlier server left", left)
        return engine
    finally:
        await docker.close()


def _run_apart(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run on an event loop of its own: the server's does not run yet, or it is the one that waits here."""
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(asyncio.run(work))
        except BaseException as error:  # raised again where it is waited for
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]


def _open_to(opt_ml: Path, user: str) -> None:
    """Let an image's user, where that is not root, write below its /opt/ml; nobody else gets that far."""
    if os.geteuid() != 0 or user.partition(":")[0] in ("", "0", "root"):
        return
    for folder, names, files in os.walk(opt_ml):
        os.chmod(folder, 0o777)  # noqa: S103 - the directories above it are the server's own
        for path in (os.path.join(folder, name) for name in (*names, *files)):
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode | 0o666)  # noqa: S103


__all__ = ["DockerExecutor", "EngineUnavailable"]
