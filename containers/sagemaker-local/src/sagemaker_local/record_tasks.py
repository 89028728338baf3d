"""One task for each record that is not over: what tuning, pipelines and AutoML have in common."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar

from sagemaker_local.store import Store


class RecordTasks(ABC):
    """Runs what records of one kind stand for, across restarts of the server.

    Args:
        store: Holds the records.
    """

    kind: ClassVar[str]
    status_field: ClassVar[str]
    alive: ClassVar[frozenset[str]]
    """The statuses that a record leaves again; one of them is ``Stopping``."""

    def __init__(self, store: Store) -> None:
        self._records = store
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping: dict[str, asyncio.Event] = {}

    @abstractmethod
    async def _live(self, name: str, stopping: asyncio.Event) -> None:
        """From a record's creation, or from where an earlier server left it, to its end.

        Args:
            name: The record.
            stopping: Set when somebody asked to stop it.
        """

    async def start(self) -> None:
        """Take up the records that an earlier server left."""
        for record in self._records.list(self.kind):
            if record.document[self.status_field] in self.alive:
                self.submit(record.name)

    async def close(self) -> None:
        """Leave every record as it is, for the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def submit(self, name: str) -> None:
        """Run what a record in the store stands for; returns at once."""
        stopping = self._stopping[name] = asyncio.Event()
        if self._records.get(self.kind, name).document[self.status_field] == "Stopping":
            stopping.set()
        task = asyncio.create_task(self._live(name, stopping), name=f"{self.kind} {name}")
        self._tasks[name] = task
        task.add_done_callback(lambda ended: self._forget(name, ended))

    def _forget(self, name: str, ended: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is ended:  # not submitted anew meanwhile
            del self._tasks[name], self._stopping[name]

    def _call_to_stop(self, name: str) -> None:
        """Wake what runs, whose record says already that it is to stop."""
        if name in self._stopping:
            self._stopping[name].set()

    async def ended(self, name: str) -> None:
        """Return once a record is over; at once when it is already, or when there is none."""
        task = self._tasks.get(name)
        if task is not None:
            await asyncio.wait({task})
