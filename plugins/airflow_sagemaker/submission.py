"""Submit a job exactly once: name, fingerprint, persist, create or adopt.

The one mechanism behind every kind of job, and behind a model version. A name that is in use is an answer:
describe what has it, then act by the table below. The name and fingerprint are in Airflow's task state store
before Create is called, so a task whose worker died at any point finds its job again, and a task that was
cleared knows which job it must not leave running. Where the store is silent the job's tags say the same.

docs/exactly-once.md has the whole truth table; tests/unit/…/test_truth_table.py holds the code to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Protocol

from airflow_sagemaker.claim import Claim, Log
from airflow_sagemaker.deployment import DEPLOYMENT_TAG
from airflow_sagemaker.errors import (
    ForeignResourceError,
    JobError,
    QuotaExceededError,
    SageMakerError,
    ThrottledError,
    UnreachableError,
)
from airflow_sagemaker.fingerprint import (
    FINGERPRINT_TAG,
    OWNER_TAG,
    START_TAG,
    TRY_TAG,
    fingerprint,
    ownership_tags,
    tag_list,
)
from airflow_sagemaker.kinds import End, JobKind
from airflow_sagemaker.names import TaskIdentity, job_name
from airflow_sagemaker.task_record import Asked, Start, TaskRecord

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

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags to a job, or replace their values."""

    def stop(self, kind: JobKind, name: str) -> bool:
        """Stop the job; False where there is nothing to stop."""


class State(Enum):
    """What became of a job that has our name."""

    ALIVE = "alive"
    COMPLETED = "completed"
    DEAD = "dead"
    """Failed, stopped or stopping: it will not complete any more."""


class Origin(Enum):
    """Who made a job that has our name."""

    THIS_START = "this start"
    """A try of this task since it was last cleared."""
    EARLIER_START = "an earlier start"
    """This task before a clear, or the same task of a run that was deleted and made again."""
    OTHER_AIRFLOW = "another Airflow"
    """A task of the same names in another deployment, or before the database was made anew."""
    FOREIGN = "somebody else"


class Action(Enum):
    """What to do about a job that has our name."""

    ADOPT = "adopt"
    NEXT = "take the next name"
    REPLACE = "stop it and take the next name"
    REFUSE = "refuse"


ACTIONS: Mapping[tuple[State, Origin, bool], Action] = {
    (State.ALIVE, Origin.THIS_START, True): Action.ADOPT,
    (State.ALIVE, Origin.THIS_START, False): Action.REPLACE,
    (State.COMPLETED, Origin.THIS_START, True): Action.ADOPT,
    (State.COMPLETED, Origin.THIS_START, False): Action.NEXT,
    (State.DEAD, Origin.THIS_START, True): Action.NEXT,
    (State.DEAD, Origin.THIS_START, False): Action.NEXT,
    (State.ALIVE, Origin.EARLIER_START, True): Action.REPLACE,
    (State.ALIVE, Origin.EARLIER_START, False): Action.REPLACE,
    (State.COMPLETED, Origin.EARLIER_START, True): Action.NEXT,
    (State.COMPLETED, Origin.EARLIER_START, False): Action.NEXT,
    (State.DEAD, Origin.EARLIER_START, True): Action.NEXT,
    (State.DEAD, Origin.EARLIER_START, False): Action.NEXT,
    **{(state, Origin.OTHER_AIRFLOW, same): Action.NEXT for state in State for same in (True, False)},
}
"""By the job's state, who made it, and whether it was asked for the same work as now. Foreign: refuse."""


def state_of(kind: JobKind, described: Mapping[str, Any]) -> State:
    """What became of a described job."""
    if kind.end(described) is End.COMPLETED:
        return State.COMPLETED
    return State.ALIVE if kind.is_alive(described) else State.DEAD


def decide(state: State, origin: Origin, *, same_work: bool) -> Action:
    """What to do about the job that has the name we want."""
    return Action.REFUSE if origin is Origin.FOREIGN else ACTIONS[state, origin, same_work]


@dataclass(frozen=True)
class Submitted:
    """The job that does the task's work."""

    name: str
    adopted: bool
    completed: dict[str, Any] | None = None
    """Its describe answer, if it had completed already."""
    start_tag: str = ""
    """As the job carries it."""


@dataclass(frozen=True)
class Submission:
    """One task's way to its job.

    :param start: the start that this try belongs to; a clear begins another one, a lost worker does not
    :param claim: what a kill stops
    :param announce: told each name before Create is called with it
    :param failed_for_good: the error of a failed job that the task is given no other try after; None where
        another job is worth it
    """

    api: JobApi
    kind: JobKind
    identity: TaskIdentity
    start: Start
    record: TaskRecord
    claim: Claim
    announce: Callable[[str], None]
    log: Log
    failed_for_good: Callable[[Mapping[str, Any]], SageMakerError | None] = lambda _: None

    def submit(self, body: Mapping[str, Any], tags: Mapping[str, str]) -> Submitted:
        """Make sure that a job does the work of ``body``, and that only one does."""
        work = fingerprint(f"Create{self.kind.title}", body)
        asked = self.record.read()
        here, before = tags.get(DEPLOYMENT_TAG), asked.deployment if asked else None
        self.claim.deployments = frozenset(filter(None, (here, before)))
        tag, certain = self._start_tag(asked)
        asked_for = {each["Key"]: each["Value"] for each in body.get("Tags", ())}
        owned = {**tags, **asked_for, **ownership_tags(self.identity, work, tag), **self._try_tag()}
        first = self._settle_earlier(asked)
        for attempt in range(first, first + MAX_ATTEMPTS):
            name = self.name(attempt)
            self.announce(name)
            self.claim.require_life()
            made_by = before if asked and before and asked.name == name else here
            self.record.write(Asked(name, work, attempt, self.start, tag, certain, made_by))
            request = {self.kind.name_field: name, **body, "Tags": tag_list(owned)}
            try:
                self.claim.ask(name, partial(self.api.create, self.kind, request))
            except (NameTakenError, QuotaExceededError) as error:
                # The quota, too, may be used up by a job of that very name: an attempt that was accepted.
                found = self._consider(name, work, tag, certain=certain)
                self.claim.require_life()
                if found is not None:
                    self.record.write(Asked(name, work, attempt, self.start, found.start_tag, True, made_by))
                    return found
                if isinstance(error, QuotaExceededError):
                    raise
            except (ThrottledError, UnreachableError):
                raise  # an earlier attempt of this very call may have been accepted
            except SageMakerError:
                self.claim.drop()
                raise
            else:
                self.claim.require_life()
                self.log.info("Created %s %s", self.kind.noun, name)
                return Submitted(name, adopted=False, start_tag=tag)
        raise JobError(
            f"{self.kind.noun.capitalize()} {self.name(first)!r}",
            f"it and the {MAX_ATTEMPTS} names after it are in use by jobs without success",
            "Find out what makes jobs under these names",
        )

    def name(self, attempt: int) -> str:
        """The name of an attempt's job."""
        task = self.identity
        return job_name(task.dag_id, task.run_id, task.task_id, task.map_index, attempt, self.kind.name_limit)

    def _try_tag(self) -> dict[str, str]:
        """By which an earlier try that was taken for dead, and comes back, knows whose the job is now."""
        later = self.start.try_number > 1 and self.kind.anew_when_cleared
        return {TRY_TAG: str(self.start.try_number)} if later else {}

    def _take_over(self, described: Mapping[str, Any]) -> None:
        if not (taken := self._try_tag()):
            return
        try:
            self.api.tag(described[self.kind.arn_field], taken)
        except SageMakerError as error:
            self.log.warning("An earlier try of the task may still stop the job: %s", error)

    def _start_tag(self, asked: Asked | None) -> tuple[str, bool]:
        """The tag of this start's jobs, and whether it is certain that none was made with another.

        It is not where an earlier try of this start has left nothing in the state store.
        """
        if asked is None:
            return self.start.new_tag(), self.start.try_number <= 1
        if asked.is_of(self.start):
            return asked.start_tag, asked.certain
        return self.start.new_tag(), True

    def _settle_earlier(self, asked: Asked | None) -> int:
        """The attempt to begin with, once nothing from before a clear is left running."""
        if asked is None:
            return 0
        if asked.is_of(self.start) or not self.kind.anew_when_cleared:
            return asked.attempt
        earlier = self.api.describe(self.kind, asked.name)
        if earlier is not None and state_of(self.kind, earlier) is State.ALIVE and self._owns(earlier):
            self.log.warning(
                "The task was cleared while its %s %s still runs: stopping it", self.kind.noun, asked.name
            )
            self.api.stop(self.kind, asked.name)
        return asked.attempt + 1

    def _owns(self, described: Mapping[str, Any]) -> bool:
        return self.claim.is_ours(self.api.tags(described[self.kind.arn_field]))

    def _origin(self, tags: Mapping[str, str], start_tag: str, *, certain: bool) -> Origin:
        """Who made a job with these tags; where this start may have had another tag, what it may be."""
        if tags.get(OWNER_TAG) != self.identity.digest:
            return Origin.FOREIGN
        if self.claim.is_of_another_airflow(tags):
            return Origin.OTHER_AIRFLOW
        if not self.kind.anew_when_cleared:
            return Origin.THIS_START
        found = tags.get(START_TAG, "")
        same = found == start_tag or (not certain and self.start.may_have(found))
        return Origin.THIS_START if same else Origin.EARLIER_START

    def _consider(self, name: str, work: str, start_tag: str, *, certain: bool) -> Submitted | None:
        """The job of that name if it does our work, None if the next name is to be tried."""
        described = self.api.describe(self.kind, name)
        if described is None:  # deleted since Create was answered; its name may stay in use for ever
            self.claim.drop()
            return None
        tags = self.api.tags(described[self.kind.arn_field])
        state, origin = state_of(self.kind, described), self._origin(tags, start_tag, certain=certain)
        same_work = tags.get(FINGERPRINT_TAG) == work
        action = decide(state, origin, same_work=same_work)
        status = self.kind.status(described)
        # The try that waited for it was lost, or failed by Airflow, before it could say so.
        untold = state is State.DEAD and origin is Origin.THIS_START and same_work
        if untold and (error := self.failed_for_good(described)) is not None:
            self.claim.drop()
            raise error
        self.log.info("%s %s exists (%s): %s", self.kind.noun.capitalize(), name, status, action.value)
        if action is Action.ADOPT:
            self._take_over(described)
            self.claim.adopt(name)
            completed = described if state is State.COMPLETED else None
            return Submitted(name, adopted=True, completed=completed, start_tag=tags.get(START_TAG, ""))
        if action is Action.REPLACE:
            self.api.stop(self.kind, name)
        self.claim.drop()
        if action is not Action.REFUSE:
            return None
        raise ForeignResourceError(
            f"{self.kind.noun.capitalize()} {name!r}",
            f"one of that name exists ({status}) that this task did not make: its tag {OWNER_TAG} is "
            f"{tags.get(OWNER_TAG)!r}, expected {self.identity.digest!r}",
            "Delete or rename it, or give this DAG or run another id",
        )
