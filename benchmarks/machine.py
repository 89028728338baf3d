"""What a figure was measured on: said with every result, because only ratios mean anything elsewhere."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Machine:
    """One machine at one moment.

    Attributes:
        cores: Those that this process may use.
        load: Processes that wanted a core, averages of 1, 5 and 15 minutes.
        versions: Package → version, of this environment.
        commit: Of this repository, with ``+`` when files differ from it.
    """

    cpu: str
    cores: int
    memory_gb: float
    load: tuple[float, float, float]
    kernel: str
    python: str
    versions: dict[str, str]
    date: str
    commit: str

    def line(self) -> str:
        """All of it in one line."""
        load = " ".join(f"{each:.1f}" for each in self.load)
        versions = "".join(f", {name} {version}" for name, version in self.versions.items())
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_gb:.0f} GB, load {load}, Linux {self.kernel}, "
            f"Python {self.python}{versions}; {self.date}, commit {self.commit}"
        )


def describe(packages: Iterable[str] = ()) -> Machine:
    """This machine now, with the versions of the packages that matter to the figures."""
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        load=os.getloadavg(),
        kernel=platform.release(),
        python=platform.python_version(),
        versions={name: _version(name) for name in packages},
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit(),
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def commit() -> str:
    """The commit that is checked out, with ``+`` when files differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise OSError(done.stderr)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except OSError:
        return "unknown"
