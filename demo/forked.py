"""Airflow's processes as forks of one: what :mod:`demo.warm_airflow` is told, and what it tells."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from demo.adopted import Adopted
from demo.processes import Service

FIRST = "first"
"""What is run once before the scheduler."""


class Forked:
    """The processes of one start.

    Args:
        home: Of the stack.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "airflow" / "forked"
        self._logs = home / "logs"
        self._names: tuple[str, ...] = ()

    def log(self, name: str) -> Path:
        """The file that holds the output of a process."""
        return self._logs / f"{name}.log"

    def plan(
        self,
        services: Mapping[str, tuple[Sequence[str], Mapping[str, str]]],
        *,
        first: Sequence[str] | None,
    ) -> Path:
        """Write what to fork.

        Args:
            services: Name → arguments of ``airflow``, and environment of its own.
            first: Arguments of ``airflow_sagemaker``, run once before the scheduler.
        """
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._logs.mkdir(exist_ok=True)
        self._names = tuple(services)
        forks = {
            name: {"arguments": arguments, "environment": environment, "log": str(self.log(name))}
            for name, (arguments, environment) in services.items()
        }
        once = {"arguments": first, "log": str(self.log(FIRST))} if first else None
        plan = self._folder / "plan.json"
        plan.write_text(json.dumps({"folder": str(self._folder), "services": forks, "first": once}))
        return plan

    def go(self) -> None:
        """The database is ready: fork."""
        (self._folder / "go").touch()

    def adopted(self) -> dict[str, Service]:
        """Those that were forked since this was asked last, to be looked after like children."""
        found = {}
        for name in self._names:
            pid = self._folder / f"{name}.pid"
            if pid.exists():
                process = Adopted(int(pid.read_text()), self._folder / f"{name}.code")
                found[name] = Service(name, process, self.log(name))
                pid.unlink()
        return found

    @property
    def first_failed(self) -> bool:
        """Whether what was to be run once ended with an error."""
        code = self._folder / f"{FIRST}.code"
        return code.exists() and code.read_text() != "0"
