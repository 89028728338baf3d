"""Keeps a program to the limits of its instance type: by control groups, else by rlimit and affinity.

A small shell stands before the sandbox. It enters the group, so that nothing of the program is ever outside;
and it outlives the program, to note what the memory limit killed and to remove the group, which must also
happen when the server was killed and cannot.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from sagemaker_local.executors.base import Limits
from sagemaker_local.executors.cgroups import Cgroup, Cgroups

logger = logging.getLogger(__name__)

CANNOT_ENTER = 125

KEEPER = f"""
data=$1 events=$2 oom=$3 count=$4; shift 4
dirs=
while [ "$count" -gt 0 ]; do dirs="$dirs $1"; shift; count=$((count - 1)); done
(
  for dir in $dirs; do echo 0 > "$dir/cgroup.procs" || exit {CANNOT_ENTER}; done
  if [ -n "$data" ]; then ulimit -d "$data" || exit {CANNOT_ENTER}; fi
  exec "$@"
)
code=$?
if [ -r "$events" ]; then
  while read -r key value; do
    if [ "$key" = oom_kill ]; then echo "$value" > "$oom"; fi
  done < "$events"
fi
for dir in $dirs; do
  tries=60 pause=0.01
  until rmdir "$dir" 2> /dev/null || [ ! -d "$dir" ] || [ "$tries" = 0 ]; do
    tries=$((tries - 1)); [ "$tries" -gt 50 ] || pause=0.1; sleep "$pause"
  done
  rmdir "${{dir%/*}}" 2> /dev/null
done
exit $code
"""
"""``sh -c KEEPER sh DATA_KB EVENTS OOM_FILE COUNT DIRECTORY… COMMAND…``; exits as the command does."""


@dataclass(frozen=True, slots=True)
class Confined:
    """One program's confinement.

    Attributes:
        command: What stands before the sandbox's command line.
        cgroup: Its control group, when it has one.
        oom_file: Holds the number of processes that the memory limit killed, once the program has ended.
    """

    command: tuple[str, ...] = ()
    cgroup: Cgroup | None = None
    oom_file: Path | None = None

    @property
    def out_of_memory(self) -> bool:
        """Whether the memory limit killed a process."""
        if self.oom_file is None or not self.oom_file.exists():
            return False
        return self.oom_file.read_text().strip() not in ("", "0")

    def remove(self) -> None:
        """What the keeper did not get to."""
        if self.cgroup is not None:
            self.cgroup.remove()


class Confinement:
    """Confines programs as well as this machine can.

    Args:
        cgroups: Where control groups can be made, or None.
    """

    def __init__(self, cgroups: Cgroups | None) -> None:
        self._cgroups = cgroups
        self._numbers = itertools.count(1)
        self._taskset = shutil.which("taskset")
        controllers = cgroups.controllers if cgroups else frozenset()
        self._by_cgroup = {"memory": "memory" in controllers, "cpu": "cpu" in controllers}
        if cgroups is not None:
            cgroups.sweep()
        logger.info("instance types are limits: %s", self.description)

    @property
    def description(self) -> str:
        """How limits are kept here, for people."""
        version = "" if self._cgroups is None else f"cgroups v{2 if self._cgroups.unified else 1}"
        memory = version if self._by_cgroup["memory"] else "RLIMIT_DATA, for each process"
        cpu = version if self._by_cgroup["cpu"] else "processor affinity" if self._taskset else "nothing"
        return f"memory by {memory}, processors by {cpu}"

    def confine(self, limits: Limits, scratch: Path) -> Confined:
        """Prepare a program's confinement; nothing when it has no limits.

        Args:
            limits: What it may use.
            scratch: A directory of the program's own that it cannot see.
        """
        if limits == Limits():
            return Confined()
        cgroup = None
        if self._cgroups is not None:
            try:
                # The process id keeps a second start on the same data from meeting what is being removed.
                cgroup = self._cgroups.make(f"{os.getpid()}-{next(self._numbers)}", limits)
            except OSError as error:
                logger.warning("no control group can be made (%s): limits are kept without", error)
        data_kb = ""
        if limits.memory_bytes is not None and not (cgroup and self._by_cgroup["memory"]):
            data_kb = str(limits.memory_bytes // 1024)
        oom_file = scratch / "oom"
        directories = [str(directory) for directory in cgroup.directories] if cgroup else []
        events = str(cgroup.events) if cgroup and cgroup.events else ""
        keeper = ("/bin/sh", "-c", KEEPER, "sh")
        command = (*keeper, data_kb, events, str(oom_file), str(len(directories)), *directories)
        if limits.vcpus is not None and not (cgroup and self._by_cgroup["cpu"]) and self._taskset:
            command += (self._taskset, "--cpu-list", self._processors(limits.vcpus))
        return Confined(command, cgroup, oom_file)

    def _processors(self, vcpus: float) -> str:
        """So many of the machine's, the next ones for each program."""
        there = sorted(os.sched_getaffinity(0))
        first = next(self._numbers)
        count = max(1, round(vcpus))
        return ",".join(sorted({str(there[(first + number) % len(there)]) for number in range(count)}))
