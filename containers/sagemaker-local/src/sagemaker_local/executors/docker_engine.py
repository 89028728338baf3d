"""Reaches Docker's engine, and removes from it what a server of the same data directory left there.

Everything that a server makes is labelled with its data directory, so that two servers on one engine never
take each other's containers away.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sagemaker_local.executors.base import ImageError

if TYPE_CHECKING:
    import aiodocker

LABEL_DATA = "sagemaker-local.data"
"""The data directory of the server that a container or network belongs to."""
LABEL_SERVER = "sagemaker-local.server"
"""The one run of that server."""
LABEL_IMAGE = "sagemaker-local.image"
"""The folder that an image was built from."""

CHECK_TIMEOUT_S = 30.0
REMOVE_TIMEOUT_S = 60.0
REMOVE_POLL_S = 0.1
GONE = 404
DEFAULT_SOCKET = Path("/var/run/docker.sock")


class EngineUnavailable(Exception):
    """No engine answers; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine says of itself.

    Attributes:
        version: Such as ``20.10.24``.
        processors: Those it can give; it refuses containers that ask for more.
        rootless: Root in its containers is the user who runs it.
    """

    version: str
    processors: int
    rootless: bool


def engine_socket() -> Path | None:
    """The engine's unix socket; None when DOCKER_HOST leads elsewhere."""
    host = os.environ.get("DOCKER_HOST")
    if not host:
        return DEFAULT_SOCKET
    return Path(host.removeprefix("unix://")) if host.startswith("unix://") else None


def connect() -> aiodocker.Docker:
    """A client of the engine, on the running event loop.

    Raises:
        EngineUnavailable: this machine names no engine.
    """
    import aiodocker

    socket = engine_socket()
    try:
        return aiodocker.Docker(url=f"unix://{socket}" if socket else os.environ["DOCKER_HOST"])
    except (ValueError, OSError) as error:
        raise EngineUnavailable(f"DOCKER_HOST leads to no engine: {error}") from error


async def check(docker: aiodocker.Docker) -> Engine:
    """Ask the engine who it is.

    Raises:
        EngineUnavailable: it does not answer, or refuses us.
    """
    import aiodocker
    import aiohttp

    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            information = await docker.system.info()
    except (aiohttp.ClientError, aiodocker.DockerError, OSError, TimeoutError) as error:
        raise EngineUnavailable(_why_not(error)) from error
    return Engine(
        version=str(information.get("ServerVersion")),
        processors=int(information.get("NCPU") or os.cpu_count() or 1),
        rootless=any("rootless" in option for option in information.get("SecurityOptions") or ()),
    )


async def remove_leftovers(docker: aiodocker.Docker, data_dir: Path) -> int:
    """Remove every container and network of this data directory; the number of containers that ran."""
    label = {"label": [f"{LABEL_DATA}={data_dir}"]}
    containers = await docker.containers.list(all=True, filters=_filters(label))
    await asyncio.gather(*(remove_container(docker, container.id) for container in containers))
    for network in await docker.networks.list(filters=label):
        await remove_network(docker, network["Id"])
    return len(containers)


async def remove_container(docker: aiodocker.Docker, identity: str) -> None:
    """Kill and remove a container, and wait until the engine has done so; that it is gone is fine."""

    async def remove() -> None:
        await docker.containers.container(identity).delete(force=True, v=True)

    await _removed(remove)


async def remove_network(docker: aiodocker.Docker, identity: str) -> None:
    """Remove a network; that it is gone is fine."""

    async def remove() -> None:
        await (await docker.networks.get(identity)).delete()

    await _removed(remove)


async def _removed(remove: Callable[[], Awaitable[None]]) -> None:
    """Remove something until it is gone.

    The reaper of a server that was killed may be removing the same, and what is in it, at the same time: the
    engine then refuses for a while.
    """
    import aiodocker

    deadline = time.monotonic() + REMOVE_TIMEOUT_S
    while True:
        try:
            await remove()
            return
        except aiodocker.DockerError as error:
            if error.status == GONE:
                return
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(REMOVE_POLL_S)


@contextlib.asynccontextmanager
async def spoken(what: str) -> AsyncIterator[None]:
    """Turn the engine's refusals into an :class:`ImageError` that says what was tried.

    Args:
        what: Such as ``Starting the container of image 'digits'``.
    """
    import aiodocker
    import aiohttp

    try:
        yield
    except aiodocker.DockerError as error:
        raise ImageError(f"{what} failed: Docker's engine says: {error.message}") from error
    except (aiohttp.ClientError, EngineUnavailable, OSError) as error:
        raise ImageError(f"{what} failed: {_why_not(error)}") from error


def short(data_dir: Path) -> str:
    """A name for what belongs to a data directory, where the engine allows no path."""
    return hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]


def _filters(label: dict[str, list[str]]) -> str:
    import json

    return json.dumps(label)


def _why_not(error: BaseException) -> str:
    socket = engine_socket()
    if socket is None:
        return f"no answer from Docker's engine at DOCKER_HOST={os.environ['DOCKER_HOST']}: {error}"
    try:
        there = stat.S_ISSOCK(socket.stat().st_mode)
    except OSError:
        there = False
    if not there:
        return (
            f"there is no Docker engine at {socket}: install one (Debian: apt-get install docker.io), start "
            "it, or name another with DOCKER_HOST"
        )
    if not os.access(socket, os.W_OK):
        return (
            f"this user may not use {socket}: add it to the group that owns the socket "
            "(usermod -aG docker <user>, then log in again)"
        )
    return (
        f"Docker's engine at {socket} does not answer: {error or type(error).__name__}; is dockerd running?"
    )
