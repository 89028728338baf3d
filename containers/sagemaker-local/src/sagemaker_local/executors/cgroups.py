"""Control groups: how the kernel keeps a program and all that it starts to its processors and memory.

Both versions are spoken: v1, one tree for each controller, and v2, one for all. Which, and below which
directory this process may make groups of its own, is found by trying. A group lives as long as its program:
:mod:`sagemaker_local.executors.confinement` removes it even when the server is gone, and the next start
sweeps what is left.

Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html,
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html and
https://docs.kernel.org/scheduler/sched-bwc.html
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sagemaker_local.executors.base import Limits

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
PERIOD_US = 100_000
CONTROLLERS = ("memory", "cpu")
MAKE_ATTEMPTS = 5
REMOVE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The directories of one program's group: one with v2, one for each controller with v1."""

    directories: tuple[Path, ...]
    events: Path | None
    """The file with the line ``oom_kill <count>``."""

    def remove(self) -> None:
        """Kill what is in it, and remove it; harmless when it is gone."""
        deadline = time.monotonic() + REMOVE_TIMEOUT_S
        for directory in self.directories:
            while directory.exists():
                _kill(directory)
                with contextlib.suppress(OSError):
                    directory.rmdir()
                    break
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            with contextlib.suppress(OSError):
                directory.parent.rmdir()  # others may still be in there


@dataclass(frozen=True, slots=True)
class Cgroups:
    """The place where this server makes its groups.

    Attributes:
        places: Controller → the directory that holds our groups; the same for all with v2.
        unified: Whether it is v2.
    """

    places: Mapping[str, Path]
    unified: bool

    @classmethod
    def find(cls, owner: Path, root: Path = ROOT, membership: Path = MEMBERSHIP) -> Cgroups | None:
        """Where groups can be made on this machine, or None.

        Args:
            owner: The data directory: another server's groups are in another place.
            root: Where cgroup file systems are mounted.
            membership: Says in which groups this process is.
        """
        name = f"sagemaker-local-{hashlib.sha256(str(owner).encode()).hexdigest()[:12]}"
        own = _own_paths(membership)
        for unified_root in (root, root / "unified"):
            for start in _upwards(unified_root, own.get("")):
                if controllers := _v2_controllers(start, name):
                    return cls(dict.fromkeys(controllers, start / name), unified=True)
        places = {
            controller: above / name
            for controller in CONTROLLERS
            if (above := _v1_start(root / controller, own.get(controller), name)) is not None
        }
        return cls(places, unified=False) if places else None

    @property
    def controllers(self) -> frozenset[str]:
        """Those of :data:`CONTROLLERS` that can be used."""
        return frozenset(self.places)

    def make(self, name: str, limits: Limits) -> Cgroup:
        """A new group with limits.

        Raises:
            OSError: the kernel refuses it.
        """
        directories = {place / name: None for place in self.places.values()}
        for directory in directories:
            _make(directory, self.unified)
        for controller, place in self.places.items():
            for setting, value in _settings(controller, limits, self.unified).items():
                _write(place / name / setting, value)
        events = "memory.events" if self.unified else "memory.oom_control"
        memory = self.places.get("memory")
        return Cgroup(tuple(directories), None if memory is None else memory / name / events)

    def sweep(self) -> None:
        """Remove the groups that an earlier server on the same data directory left.

        That server may have been in another group, such as another login's: its place is looked for in the
        groups above and beside this one's, too.
        """
        found = set(self.places.values())
        for place in self.places.values():
            found.update(place.parent.glob(f"*/{place.name}"))
            found.update(place.parent.parent.glob(f"{place.name}"))
            found.update(place.parent.parent.glob(f"*/{place.name}"))
        for place in found:
            with contextlib.suppress(OSError):  # its last program's keeper may be removing it right now
                Cgroup(tuple(entry for entry in place.iterdir() if entry.is_dir()), None).remove()
                place.rmdir()


def _settings(controller: str, limits: Limits, unified: bool) -> dict[str, str]:
    if controller == "memory" and limits.memory_bytes is not None:
        size = str(limits.memory_bytes)
        if unified:
            return {"memory.max": size, "memory.swap.max": "0"}
        return {"memory.limit_in_bytes": size, "memory.memsw.limit_in_bytes": size}
    if controller == "cpu" and limits.vcpus is not None:
        quota = str(max(1000, int(limits.vcpus * PERIOD_US)))
        if unified:
            return {"cpu.max": f"{quota} {PERIOD_US}"}
        return {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": quota}
    return {}


SWAP = frozenset({"memory.swap.max", "memory.memsw.limit_in_bytes"})
"""Not there on kernels without accounting of swap; where there is no swap they are not needed."""


def _write(path: Path, value: str) -> None:
    if path.name in SWAP and not path.exists():
        return
    path.write_text(value)


def _make(directory: Path, unified: bool) -> None:
    """Make a group and the one above it, which the end of another program may just be removing."""
    for attempt in range(MAKE_ATTEMPTS):
        try:
            directory.parent.mkdir(exist_ok=True)
            if unified:
                _delegate(directory.parent)
            directory.mkdir(exist_ok=True)
        except (FileNotFoundError, OSError):
            if attempt == MAKE_ATTEMPTS - 1:
                raise
            time.sleep(0.01)
        else:
            return


def _delegate(directory: Path) -> None:
    """Let the groups below have the controllers that this one has (v2)."""
    there = set((directory / "cgroup.controllers").read_text().split())
    control = directory / "cgroup.subtree_control"
    missing = there.intersection(CONTROLLERS) - set(control.read_text().split())
    if missing:
        control.write_text(" ".join(f"+{name}" for name in sorted(missing)))


def _v2_controllers(start: Path, name: str) -> tuple[str, ...]:
    """Those that groups of ours below a group would have; none when none can be made, or without memory."""
    try:
        _delegate(start)
        trial = start / name / "try"
        _make(trial, unified=True)
        found = tuple(each for each in CONTROLLERS if os.access(trial / f"{each}.max", os.W_OK))
        works = "memory" in found and _can_enter(trial)
        trial.rmdir()
    except OSError:
        return ()
    with contextlib.suppress(OSError):
        (start / name).rmdir()  # what an earlier server left may be in there: sweep takes it
    return found if works else ()


def _v1_start(mount: Path, own: str | None, name: str) -> Path | None:
    """The group of a controller, this process's or one above, below which ours can be made."""
    setting = {"memory": "memory.limit_in_bytes", "cpu": "cpu.cfs_quota_us"}[mount.name]
    for start in _upwards(mount, own):
        trial = start / name / "try"
        try:
            _make(trial, unified=False)
            works = os.access(trial / setting, os.W_OK) and _can_enter(trial)
            trial.rmdir()
        except OSError:
            continue
        with contextlib.suppress(OSError):
            (start / name).rmdir()  # what an earlier server left may be in there: sweep takes it
        if works:
            return start
    return None


def _can_enter(directory: Path) -> bool:
    """Whether a process may move itself into a group; with v2 that takes rights on the groups above, too."""
    enter = ("/bin/sh", "-c", 'echo 0 > "$1/cgroup.procs"', "sh", str(directory))
    return subprocess.run(enter, stderr=subprocess.DEVNULL, check=False).returncode == 0


def _upwards(mount: Path, own: str | None) -> Iterator[Path]:
    """This process's group and those above it: nearest first, so that limits above keep counting."""
    if own is None:
        return
    path = mount / own.lstrip("/")
    while path != mount and path.is_relative_to(mount):
        if path.is_dir():
            yield path
        path = path.parent
    if mount.is_dir():
        yield mount


def _own_paths(membership: Path) -> dict[str, str]:
    """Controller → path of this process's group; the empty name is v2's."""
    try:
        lines: Iterable[str] = membership.read_text().splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.removeprefix("name=").split(","):
            found[controller] = path
    return found


def _kill(directory: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        for pid in (directory / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
