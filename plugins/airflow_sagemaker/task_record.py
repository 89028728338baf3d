"""What a task instance remembers of what it asked for, and whether it has been started anew since.

Airflow's task state store keeps a value for a run, task and map index. A retry, a lost worker, a restart of
anything and, on Airflow 3.3, a clear leave it there; a deleted run takes it along, and it may expire
(``[state_store] default_retention_days``, 30) or go with a success (``clear_on_success``, off). So what AWS
itself remembers, a job's tags, decides where the store is silent (docs/exactly-once.md).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

TAG_SEPARATOR = "."


class StateStore(Protocol):
    """The part of Airflow's task state store in use here."""

    def get(self, key: str) -> Any:
        """The value kept under a key, or None."""

    def set(self, key: str, value: Any) -> None:
        """Keep a value under a key."""


@dataclass(frozen=True)
class Start:
    """The start that a try belongs to: its first one, or the last clear.

    Clearing sets ``max_tries`` to the tries used plus ``retries`` (``clear_task_instances`` in
    ``airflow/models/taskinstance.py``; the scheduler does it for a task that was cleared while it ran).
    Nothing else changes it: neither a retry, a lost worker, a new version of the DAG, nor other ``retries``
    in its file.
    """

    max_tries: int
    retries: int = 0
    """As the DAG file has them now."""
    try_number: int = 1
    clear_number: int = 0
    """How often anything in the run was cleared."""

    def new_tag(self) -> str:
        """The start as the jobs of its tries carry it; a run made again under its id has another one."""
        return f"{self.max_tries}{TAG_SEPARATOR}{secrets.token_hex(4)}"

    def may_have(self, tag: str) -> bool:
        """Whether a job with this tag may be of this start, where nothing says with which tag it began."""
        return self.try_number > 1 and tag.split(TAG_SEPARATOR)[0] == str(self.max_tries)

    def is_same_as(self, earlier: Start) -> bool:
        """Whether the task was not cleared in between."""
        if self.max_tries != earlier.max_tries:
            return False
        # Fewer retries in the file and a clear at once may give the very same sum.
        tries_at_clear = self.max_tries - self.retries
        lowered = self.retries < earlier.retries and earlier.try_number <= tries_at_clear < self.try_number
        return not (lowered and self.clear_number > earlier.clear_number)


@dataclass(frozen=True)
class Asked:
    """What a task asked for, written down before it asked."""

    name: str
    fingerprint: str
    attempt: int
    start: Start
    start_tag: str = ""
    """Of the jobs that are made since this start."""
    certain: bool = True
    """Whether no job of this start can have another tag: it can where the store has lost an earlier try."""
    deployment: str | None = None
    """The Airflow that the job says it is of: first tasks at once may each have given theirs an id."""

    def is_of(self, start: Start) -> bool:
        """Whether it was asked for since the task was last cleared."""
        return start.is_same_as(self.start)


@dataclass(frozen=True)
class TaskRecord:
    """The place of a task in the state store."""

    store: StateStore
    key: str

    def read(self) -> Asked | None:
        """What was asked for last; None where the store is silent, or speaks another release's language."""
        found = self.store.get(self.key)
        try:
            return Asked(
                name=str(found["name"]),
                fingerprint=str(found["fingerprint"]),
                attempt=int(found["attempt"]),
                start=Start(**found["start"]),
                start_tag=str(found["start_tag"]),
                certain=bool(found["certain"]),
                deployment=found.get("deployment"),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def details(self) -> Mapping[str, Any]:
        """What else was written down with it."""
        found = self.store.get(self.key)
        return found if isinstance(found, dict) else {}

    def write(self, asked: Asked, **details: Any) -> None:
        """Write down what is about to be asked for."""
        self.store.set(self.key, {**asdict(asked), **details})
