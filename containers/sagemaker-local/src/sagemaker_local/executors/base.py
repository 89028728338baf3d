"""What every executor promises: prepare an image, start a program of it, wait, stop."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

LineSink = Callable[[str], None]
"""Takes one line of output without its line end; called from the event loop."""


Dial = Callable[[], Awaitable[socket.socket]]
"""Makes a connection, perhaps not yet established, to the port that a program was told to listen on.

Raises OSError when the program does not listen or has ended."""


class ImageError(Exception):
    """The image cannot be had or built; the message becomes the job's FailureReason."""


@dataclass(frozen=True, slots=True)
class Source:
    """A program without an image of the user's: a folder of code and its requirements (Neo's compilers)."""

    directory: Path
    requirements: Path
    options: tuple[str, ...] = ()
    """Of pip, for these requirements: indexes beyond the machine's own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use of the machine; None leaves it what there is.

    Attributes:
        vcpus: Processors' worth of time.
        memory_bytes: Memory of all its processes together.
    """

    vcpus: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path and where the program sees it."""

    host_path: Path
    path: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Program:
    """One start of a container.

    Attributes:
        image: The image URI, or a :class:`Source`.
        opt_ml: Host directory that the program sees as ``/opt/ml``.
        arguments: Replaces the image's CMD: ``("train",)``, ``("serve",)``, or a processing job's arguments.
        entrypoint: Replaces the image's ENTRYPOINT when not None.
        environment: Added to the image's ENV.
        port: The program is told to listen here (``SAGEMAKER_BIND_TO_PORT``), on 127.0.0.1 of its network.
        host_name: ``algo-1`` for the first instance of a job.
        network: False cuts the program off from everything but itself (EnableNetworkIsolation).
        limits: What its instance type gives it; enforced as far as the machine can.
        hosts: Further names in its /etc/hosts, with their addresses: the other hosts of a job.
        mounts: Further host paths that it sees, also below /opt/ml.
    """

    image: str | Source
    opt_ml: Path
    arguments: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    host_name: str = "algo-1"
    network: bool = True
    limits: Limits = Limits()
    hosts: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()


class RunningProgram(Protocol):
    """A started program and all processes below it."""

    @property
    def pid(self) -> int:
        """Process id on the host."""
        ...

    @property
    def address(self) -> tuple[str, int] | None:
        """Where a program with a network of its own listens; None: on 127.0.0.1, on the port it was told."""
        ...

    @property
    def dial(self) -> Dial | None:
        """The only way to a program that was started with a port and without a network; else None."""
        ...

    @property
    def out_of_memory(self) -> bool:
        """Whether a process of it was killed because its memory limit was reached."""
        ...

    @property
    def ended_at(self) -> float | None:
        """When its output ended: it was alive until then at least. None as long as it can print."""
        ...

    async def wait(self) -> int:
        """Exit code once it ended and its output was handed on; 128 + n for signal n. May be called again."""
        ...

    async def stop(self, grace_s: float) -> int:
        """SIGTERM, then SIGKILL after ``grace_s`` seconds; returns the exit code, nothing is left running."""
        ...


class Executor(Protocol):
    """Runs programs of images on this machine.

    Attributes:
        name: As ``--executor`` takes it.
        own_networks: Whether a program can have a network of its own that it is served from.
        network_interface: Through which the programs of a job's hosts reach each other.
    """

    name: str
    own_networks: bool
    network_interface: str

    async def prepare(self, image: str | Source, log: LineSink) -> None:
        """Make the image ready to start; cached, safe to call side by side.

        Raises:
            ImageError: no such image, or its build fails; says which and what to do.
        """
        ...

    async def start(self, program: Program, log: LineSink) -> RunningProgram:
        """Start a prepared image's program; its output goes to ``log`` line by line.

        Raises:
            ImageError: as in :meth:`prepare`.
        """
        ...

    async def close(self) -> None:
        """Let go of what is held for programs; none runs any more."""
        ...
