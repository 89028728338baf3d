"""From a :class:`Program` to the container that Docker's engine is asked for. No engine is needed to read it.

Source: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker_local.executors.base import ImageError, Program
from sagemaker_local.executors.container import OPT_ML
from sagemaker_local.executors.docker_network import Joined

SERVING_PORT = 8080
"""Where AWS's contract has model servers listen. Each container has a network of its own, so all can."""

DROPPED = ["MKNOD", "NET_RAW"]
"""Of the capabilities that Docker gives by default; the rest stays, because AWS's containers are root too."""

LEAST_SHARED_MEMORY_BYTES = 64 * 1024**2
ENDPOINT_VARIABLES = "AWS_ENDPOINT_URL"
DEFAULTS = {"PYTHONUNBUFFERED": "1"}
"""Where the image says nothing else: lines must reach the log when they are printed."""

ONE_STREAM = ("/bin/sh", "-c", 'exec "$@" 2>&1', "sh")
"""Puts standard error where standard output goes. The engine reads two streams by two readers and would mix
up a traceback and what was printed before it."""


@dataclass(frozen=True, slots=True)
class EngineImage:
    """What the engine knows of an image.

    Attributes:
        name: As the engine calls it.
        environment: ``NAME=value``.
        entrypoint, command: As the image says them.
        user: Empty for root.
        shell: Whether it has ``/bin/sh``.
    """

    name: str
    environment: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    shell: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container is put.

    Attributes:
        labels: Whose it is.
        joined: Its network.
        processors: What the engine can give.
        user: ``uid:gid`` instead of the image's user, where the server is not root and has to read its files.
        own_urls: Where this server listens, as environment variables say it.
    """

    labels: Mapping[str, str]
    joined: Joined
    processors: int
    user: str | None
    own_urls: frozenset[str]


def container_config(program: Program, image: EngineImage, place: Place) -> dict[str, Any]:
    """The body of ``POST /containers/create``.

    Raises:
        ImageError: neither the image nor the request says what to run.
    """
    config: dict[str, Any] = {
        "Image": image.name,
        "Hostname": program.host_name,
        "Env": _environment(program, image.environment, place),
        "Entrypoint": [*(ONE_STREAM if image.shell else ()), *_command(program, image)],
        "Cmd": [],
        "Labels": dict(place.labels),
        "AttachStdout": True,
        "AttachStderr": True,
        "StopSignal": "SIGTERM",
        # An image's HEALTHCHECK is for others: this server asks /ping itself.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(program, place),
    }
    if place.user:
        config["User"] = place.user
    if place.joined.address:
        own = {"IPAMConfig": {"IPv4Address": place.joined.address}}
        config["NetworkingConfig"] = {"EndpointsConfig": {place.joined.network: own}}
    return config


def _host_config(program: Program, place: Place) -> dict[str, Any]:
    host: dict[str, Any] = {
        # Reaps, and passes signals on even to programs that do not expect to be process 1.
        "Init": True,
        "Mounts": [
            _bind(str(program.opt_ml), OPT_ML, read_only=False),
            *(_bind(str(mount.host_path), mount.path, read_only=mount.read_only) for mount in program.mounts),
        ],
        "NetworkMode": place.joined.network,
        "ExtraHosts": [f"{name}:{address}" for name, address in place.joined.hosts.items()],
        "CapDrop": DROPPED,
        "SecurityOpt": ["no-new-privileges"],
        # The output goes to CloudWatch Logs as it comes; the engine need not keep it as well.
        "LogConfig": {"Type": "none"},
        "ShmSize": LEAST_SHARED_MEMORY_BYTES,
    }
    limits = program.limits
    if limits.memory_bytes is not None:
        host["Memory"] = host["MemorySwap"] = limits.memory_bytes
        host["ShmSize"] = max(limits.memory_bytes // 2, LEAST_SHARED_MEMORY_BYTES)
    if limits.vcpus is not None:
        host["NanoCpus"] = int(min(limits.vcpus, place.processors) * 1_000_000_000)
    return host


def _command(program: Program, image: EngineImage) -> tuple[str, ...]:
    entrypoint = image.entrypoint if program.entrypoint is None else program.entrypoint
    # As `docker run`: arguments replace CMD, and another ENTRYPOINT drops it.
    default = image.command if program.entrypoint is None else ()
    command = (*entrypoint, *(program.arguments or default))
    if not command:
        raise ImageError(
            f"Image '{image.name}' has neither ENTRYPOINT nor CMD, and the request names no program"
        )
    return command


def _environment(program: Program, image_environment: tuple[str, ...], place: Place) -> list[str]:
    said = {pair.partition("=")[0] for pair in image_environment}
    environment = {name: value for name, value in DEFAULTS.items() if name not in said}
    environment |= program.environment
    for name, value in environment.items():
        if name.startswith(ENDPOINT_VARIABLES) and value.rstrip("/") in place.own_urls:
            environment[name] = place.joined.reached_at or value
    return [f"{name}={value}" for name, value in environment.items()]


def _bind(source: str, target: str, *, read_only: bool) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
