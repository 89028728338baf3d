"""Processes that never outlive their stack: they die with their parent, and leftovers of a kill are found.

Every process of a stack inherits an open file of the stack's home and an environment variable that names it,
and hands both on to what it starts. A later start reads ``/proc`` for them, so it finds exactly its own
leftovers, however the parent died. (One of them alone would miss some: Airflow's workers overwrite their
environment with a title, and programs started with ``close_fds`` lose the file.)
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from demo.adopted import Adopted

MARK = "SAGEMAKER_STACK_HOME"
"""Environment variable that names the home of the stack that a process belongs to."""

MARK_FILE = "processes.mark"
"""File in the stack's home that every process of the stack holds open."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Service:
    """A started process of the stack and the file that holds its output."""

    name: str
    process: subprocess.Popen[bytes] | Adopted
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    """What asks it to end."""

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    def last_lines(self, count: int = 15) -> str:
        """The end of its output, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def start(
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    home: Path,
    user: str | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Service:
    """Start a process of the stack in ``home`` in a session of its own, so that Ctrl-C reaches only us.

    Call from the main thread: the kernel ends the process with the thread that started it.

    Args:
        name: Of the service, and of the file that holds its output.
        command: Program and arguments.
        environment: All of it.
        home: Of the stack.
        user: Whom it runs as; None for ourselves.
        stop_signal: What asks it to end.
    """
    log = home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output, (home / MARK_FILE).open("ab") as mark:
        process = subprocess.Popen(
            command,
            env={**environment, MARK: str(home)},
            pass_fds=(mark.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # After the change of user, which would clear it.
            preexec_fn=partial(_die_with_parent, os.getpid()),
            **as_user(user),
        )
    return Service(name=name, process=process, log=log, stop_signal=stop_signal)


def as_user(user: str | None) -> dict[str, Any]:
    """Arguments of ``Popen`` for running as another user, in a folder that every user may enter."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}


def signal_all(service: Service, number: signal.Signals) -> set[int]:
    """A signal to a service and to every process that it has started, as a container's engine sends it.

    Returns:
        The ids of all that got it.
    """
    first = service.process.pid
    told: set[int] = set()
    # Again until nobody new is there: some may have started others before it was their turn.
    while new := _family(first) - told:
        _signal(sorted(new, key=lambda process_id: process_id != first), number)
        told |= new
    return told


def wait_for_ends(process_ids: Iterable[int], *, timeout_s: float = 30) -> None:
    """Wait until processes that somebody else is the parent of have ended."""
    deadline = time.monotonic() + timeout_s
    for process_id in process_ids:
        while _runs(process_id) and time.monotonic() < deadline:
            time.sleep(0.01)


def _family(first: int) -> set[int]:
    """A process, its session, and what descends from them: PostgreSQL's have a session each."""
    everybody = {
        int(entry.name): parent_and_session
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (parent_and_session := _parent_and_session(entry)) is not None
    }
    family = {process_id for process_id, (_, session) in everybody.items() if first in (process_id, session)}
    while new := {each for each, (parent, _) in everybody.items() if parent in family} - family:
        family |= new
    return family


def _parent_and_session(entry: Path) -> tuple[int, int] | None:
    fields = _fields(entry)
    return (int(fields[1]), int(fields[3])) if fields else None


def _runs(process_id: int) -> bool:
    """Whether it is there, and more than an entry that its parent has not read yet."""
    fields = _fields(Path("/proc") / str(process_id))
    return bool(fields) and fields[0] not in ("Z", "X")


def _fields(entry: Path) -> list[str]:
    """State, parent, group, session, … of a process, which follow its name, which may hold anything."""
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # ended meanwhile
        return []


def stop(services: Iterable[Service], *, grace_s: float) -> None:
    """Ask all to end, SIGKILL to what is left after ``grace_s`` seconds."""
    services = list(services)
    for service in services:
        if service.running:
            service.process.send_signal(service.stop_signal)
    deadline = time.monotonic() + grace_s
    for service in services:
        try:
            service.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            service.process.kill()
            service.process.wait()


def leftovers(home: Path) -> list[int]:
    """Process ids, other than ours, that belong to the stack in ``home``."""
    own = os.getpid()
    ids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process_id for process_id in ids if process_id != own and _belongs(process_id, home)]


def _belongs(process_id: int, home: Path) -> bool:
    entry = Path("/proc") / str(process_id)
    mark_file = str(home / MARK_FILE)
    try:
        if f"{MARK}={home}".encode() in (entry / "environ").read_bytes().split(b"\0"):
            return True
        return any(_target(link) == mark_file for link in (entry / "fd").iterdir())
    except OSError:  # ended meanwhile, or another user's
        return False


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""


def kill_leftovers(home: Path, *, grace_s: float = 5.0) -> int:
    """Stop what an earlier stack of this home left behind; returns how many processes that were."""
    first = leftovers(home)
    _signal(first, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while (left := leftovers(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    while left:
        _signal(left, signal.SIGKILL)
        time.sleep(0.05)
        left = leftovers(home)
    return len(first)


def _signal(process_ids: Iterable[int], number: signal.Signals) -> None:
    for process_id in process_ids:
        try:
            os.kill(process_id, number)
        except ProcessLookupError:
            continue


def _die_with_parent(parent: int) -> None:
    """Between fork and exec: SIGTERM for us when our parent ends, even by SIGKILL."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it was killed before that could be said
        os._exit(1)
