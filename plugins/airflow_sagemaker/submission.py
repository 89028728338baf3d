"""Submit a job exactly once: name, fingerprint, persist, create or adopt.

The one mechanism behind every kind of job. A name that is in use is an answer: describe the job that has
it, then act by the table below. The name and fingerprint are in Airflow's task state store before Create
is called, so a task whose worker died at any point finds its job again, and a task that was cleared knows
which job it must not leave running.

The state store outlives a clear (Airflow 3.3), the first attempt's number does not: see
:func:`airflow_sagemaker.operators.base.tries_before_clear`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from airflow_sagemaker.errors import ForeignResourceError, JobError
from airflow_sagemaker.fingerprint import FINGERPRINT_TAG, OWNER_TAG, fingerprint, ownership_tags, tag_list
from airflow_sagemaker.kinds import End, JobKind
from airflow_sagemaker.names import TaskIdentity, job_name

STATE_KEY = "sagemaker_job"
MAX_ATTEMPTS = 50
"""More names than any task has tries; reached only if something else makes jobs under our names."""


class NameTakenError(Exception):
    """Create was answered with: this name is in use."""


class JobApi(Protocol):
    """What submitting needs of AWS."""

    def create(self, kind: JobKind, request: Mapping[str, Any]) -> None:
        """Create the job, or raise :class:`NameTakenError`."""

    def describe(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        """The job, or None if there is none."""

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of a job."""

    def stop(self, kind: JobKind, name: str) -> None:
        """Stop the job; one that has ended is left as it is."""


class StateStore(Protocol):
    """The part of Airflow's task state store in use here."""

    def get(self, key: str) -> Any:
        """The value kept under a key, or None."""

    def set(self, key: str, value: Any) -> None:
        """Keep a value under a key."""


class Log(Protocol):
    """The part of a logger in use here; Airflow's own is no ``logging.Logger``."""

    def info(self, event: str, *args: Any) -> None:
        """Say what is done."""

    def warning(self, event: str, *args: Any) -> None:
        """Say what a person may want to look at."""


class State(Enum):
    """What became of a job that has our name."""

    ALIVE = "alive"
    COMPLETED = "completed"
    DEAD = "dead"
    """Failed, stopped or stopping: it will not complete any more."""


class Action(Enum):
    """What to do about a job that has our name."""

    ADOPT = "adopt"
    NEXT = "take the next name"
    REPLACE = "stop it and take the next name"
    REFUSE = "refuse"


ACTIONS: Mapping[tuple[State, bool], Action] = {
    (State.ALIVE, True): Action.ADOPT,
    (State.ALIVE, False): Action.REPLACE,
    (State.COMPLETED, True): Action.ADOPT,
    (State.COMPLETED, False): Action.NEXT,
    (State.DEAD, True): Action.NEXT,
    (State.DEAD, False): Action.NEXT,
}
"""By the state of a job of this very task, and whether it was asked for the same work as now."""


def state_of(kind: JobKind, described: Mapping[str, Any]) -> State:
    """What became of a described job."""
    if kind.end(described) is End.COMPLETED:
        return State.COMPLETED
    return State.ALIVE if kind.is_alive(described) else State.DEAD


def decide(state: State, *, ours: bool, same_work: bool) -> Action:
    """What to do about the job that has the name we want."""
    return ACTIONS[state, same_work] if ours else Action.REFUSE


@dataclass(frozen=True)
class Submitted:
    """The job that does the task's work."""

    name: str
    adopted: bool
    completed: dict[str, Any] | None = None
    """Its describe answer, if it had completed already."""


@dataclass(frozen=True)
class Submission:
    """One task's way to its job.

    :param first_attempt: number of the first name to try; a clear raises it, a lost worker does not
    :param announce: told each name before Create is called with it, so that a kill knows what to stop
    """

    api: JobApi
    kind: JobKind
    identity: TaskIdentity
    first_attempt: int
    store: StateStore
    announce: Callable[[str], None]
    log: Log

    def submit(self, body: Mapping[str, Any], tags: Mapping[str, str]) -> Submitted:
        """Make sure that a job does the work of ``body``, and that only one does."""
        work = fingerprint(f"Create{self.kind.title}", body)
        owned = {**tags, **ownership_tags(self.identity, work)}
        start = self._settle_earlier()
        for attempt in range(start, start + MAX_ATTEMPTS):
            name = self.name(attempt)
            self.announce(name)
            self.store.set(
                STATE_KEY,
                {
                    "name": name,
                    "fingerprint": work,
                    "attempt": attempt,
                    "first_attempt": self.first_attempt,
                },
            )
            request = {self.kind.name_field: name, **body, "Tags": tag_list(owned)}
            try:
                self.api.create(self.kind, request)
            except NameTakenError:
                adopted = self._consider(name, work)
                if adopted is not None:
                    return adopted
            else:
                self.log.info("Created %s %s", self.kind.noun, name)
                return Submitted(name, adopted=False)
        raise JobError(
            f"{self.kind.noun.capitalize()} {self.name(start)!r}",
            f"it and the {MAX_ATTEMPTS} names after it are in use by jobs without success",
            "Find out what makes jobs under these names",
        )

    def name(self, attempt: int) -> str:
        """The name of an attempt's job."""
        task = self.identity
        return job_name(task.dag_id, task.run_id, task.task_id, task.map_index, attempt)

    def _settle_earlier(self) -> int:
        """The attempt to begin with, once nothing from before a clear is left running."""
        recorded = self.store.get(STATE_KEY)
        if not isinstance(recorded, dict):
            return self.first_attempt
        if recorded["first_attempt"] == self.first_attempt:
            return int(recorded["attempt"])
        earlier = self.api.describe(self.kind, recorded["name"])
        if earlier is not None and state_of(self.kind, earlier) is State.ALIVE and self._owns(earlier):
            self.log.warning(
                "The task was cleared while its %s %s still runs: stopping it",
                self.kind.noun,
                recorded["name"],
            )
            self.api.stop(self.kind, recorded["name"])
        return max(self.first_attempt, int(recorded["attempt"]) + 1)

    def _owns(self, described: Mapping[str, Any]) -> bool:
        return self.api.tags(described[self.kind.arn_field]).get(OWNER_TAG) == self.identity.digest

    def _consider(self, name: str, work: str) -> Submitted | None:
        """The job of that name if it does our work, None if the next name is to be tried."""
        described = self.api.describe(self.kind, name)
        if described is None:  # deleted since Create was answered; its name may stay in use for ever
            return None
        tags = self.api.tags(described[self.kind.arn_field])
        state = state_of(self.kind, described)
        same_work = tags.get(FINGERPRINT_TAG) == work
        action = decide(state, ours=tags.get(OWNER_TAG) == self.identity.digest, same_work=same_work)
        status = self.kind.status(described)
        self.log.info("%s %s exists (%s): %s", self.kind.noun.capitalize(), name, status, action.value)
        match action:
            case Action.ADOPT:
                completed = described if state is State.COMPLETED else None
                return Submitted(name, adopted=True, completed=completed)
            case Action.REPLACE:
                self.api.stop(self.kind, name)
                return None
            case Action.NEXT:
                return None
        raise ForeignResourceError(
            f"{self.kind.noun.capitalize()} {name!r}",
            f"a job of that name exists ({status}) that this task did not make: its tag {OWNER_TAG} is "
            f"{tags.get(OWNER_TAG)!r}, expected {self.identity.digest!r}",
            "Delete or rename that job, or give this DAG or run another id",
        )
