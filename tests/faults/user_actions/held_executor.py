"""Airflow's LocalExecutor, with tasks that are queued and find no worker for as long as a test wants.

A run whose id is the name of a file in the folder ``HELD_RUNS`` has its tasks kept in the executor's queue:
to Airflow they are ``queued``, as in an executor that is busy. They take no slot from the others.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.executors.local_executor import LocalExecutor


class HeldExecutor(LocalExecutor):
    """A LocalExecutor that leaves the tasks of some runs in its queue."""

    def trigger_tasks(self, open_slots: int) -> None:
        """Start what is queued, but for the tasks of held runs."""
        held = self._held()
        for key in held:
            del self.queued_tasks[key]
        try:
            super().trigger_tasks(open_slots)
        finally:
            self.queued_tasks.update(held)

    @property
    def slots_available(self) -> int:
        """How many more it can take."""
        return int(super().slots_available) + len(self._held())

    @property
    def slots_occupied(self) -> int:
        """How many it has."""
        return int(super().slots_occupied) - len(self._held())

    def _held(self) -> dict[Any, Any]:
        runs = Path(os.environ["HELD_RUNS"])
        return {key: work for key, work in self.queued_tasks.items() if (runs / work.ti.run_id).exists()}
