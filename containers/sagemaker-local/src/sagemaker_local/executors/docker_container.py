"""From a :class:`Program` to the container that Docker's engine is asked for. No engine is needed to read it.

Source: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker_local.executors.base import Program
from sagemaker_local.executors.container import OPT_ML

SERVING_PORT = 8080
"""Where AWS's contract has model servers listen. Each container has a network of its own, so all can."""

DROPPED = ["MKNOD", "NET_RAW"]
"""Of the capabilities that Docker gives by default; the rest stays, because AWS's containers are root too."""

LEAST_SHARED_MEMORY_BYTES = 64 * 1024**2
ENDPOINT_VARIABLES = "AWS_ENDPOINT_URL"
DEFAULTS = {"PYTHONUNBUFFERED": "1"}
"""Where the image says nothing else: lines must reach the log when they are printed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container is put.

    Attributes:
        labels: Whose it is.
        network: The engine's network for programs that may use one.
        processors: What the engine can give.
        user: ``uid:gid`` instead of the image's user, where the server is not root and has to read its files.
        own_urls: Where this server listens, as environment variables say it.
        reached_at: Where programs in the network reach it.
    """

    labels: Mapping[str, str]
    network: str
    processors: int
    user: str | None
    own_urls: frozenset[str]
    reached_at: str


def container_config(
    program: Program, image: str, image_environment: list[str], place: Place
) -> dict[str, Any]:
    """The body of ``POST /containers/create``."""
    config: dict[str, Any] = {
        "Image": image,
        "Hostname": program.host_name,
        "Env": _environment(program, image_environment, place),
        "Labels": dict(place.labels),
        "AttachStdout": True,
        "AttachStderr": True,
        "StopSignal": "SIGTERM",
        # An image's HEALTHCHECK is for others: this server asks /ping itself.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(program, place),
    }
    if program.arguments:
        config["Cmd"] = list(program.arguments)
    if program.entrypoint is not None:
        config["Entrypoint"] = list(program.entrypoint)
    if place.user:
        config["User"] = place.user
    if program.port is not None:
        config["ExposedPorts"] = {f"{SERVING_PORT}/tcp": {}}
    return config


def _host_config(program: Program, place: Place) -> dict[str, Any]:
    host: dict[str, Any] = {
        # Reaps, and passes signals on even to programs that do not expect to be process 1.
        "Init": True,
        "Mounts": [
            _bind(str(program.opt_ml), OPT_ML, read_only=False),
            *(_bind(str(mount.host_path), mount.path, read_only=mount.read_only) for mount in program.mounts),
        ],
        "NetworkMode": place.network if program.network else "none",
        "ExtraHosts": [f"{name}:{address}" for name, address in program.hosts.items()],
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
    if program.port is not None and program.network:
        host["PortBindings"] = {
            f"{SERVING_PORT}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(program.port)}]
        }
    return host


def _environment(program: Program, image_environment: list[str], place: Place) -> list[str]:
    said = {pair.partition("=")[0] for pair in image_environment}
    environment = {name: value for name, value in DEFAULTS.items() if name not in said}
    environment |= program.environment
    for name, value in environment.items():
        if name.startswith(ENDPOINT_VARIABLES) and value.rstrip("/") in place.own_urls:
            environment[name] = place.reached_at
    return [f"{name}={value}" for name, value in environment.items()]


def _bind(source: str, target: str, *, read_only: bool) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
