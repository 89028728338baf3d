"""The job that a kill has to stop: whether it may be there, and whether it is ours.

Airflow calls ``on_kill`` in a signal handler, on top of whatever the task is doing (``_on_term`` in
``airflow/sdk/execution_time/task_runner.py``), and the task goes on where it was; after an execution timeout
it calls it when the task has been unwound. In every window the paid job is stopped once, or never made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from airflow_sagemaker.deployment import DEPLOYMENT_TAG
from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.fingerprint import OWNER_TAG, TRY_TAG
from airflow_sagemaker.kinds import JobKind

UNANSWERED_PATIENCE_S = 30.0
"""How long after a Create without an answer its job is looked for: botocore reads an answer for 70 s at
most, SageMaker itself answers within a few."""
LOOK_INTERVAL_S = 1.0


class KilledError(Exception):
    """The task was killed, so nothing is made for it any more."""


class StoppingApi(Protocol):
    """What a claim needs of AWS."""

    def describe(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        """The job, or None if there is none."""

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of a job."""

    def stop(self, kind: JobKind, name: str) -> bool:
        """Stop the job; False where there is nothing to stop."""


class Log(Protocol):
    """The part of a logger in use here; Airflow's own is no ``logging.Logger``."""

    def info(self, event: str, *args: Any) -> None:
        """Say what is done."""

    def warning(self, event: str, *args: Any) -> None:
        """Say what a person may want to look at."""


class Phase(Enum):
    """What is known of a job under the name claimed."""

    NOTHING = "nothing of ours is there"
    UNANSWERED = "Create was called, and may have been accepted"
    OURS = "it is there and ours"


@dataclass
class Claim:
    """The one job that the task has a claim on.

    :param owner: the task's digest, as its jobs carry it
    :param try_number: of the task; a job that a later try has taken up is left to that
    :param deployments: the Airflow at work, where it is known: another one may have the same runs and tasks.
        Two ids, where this one was given another since the task's job was made
    """

    api: StoppingApi
    kind: JobKind
    owner: str
    log: Log
    try_number: int = 1
    deployments: frozenset[str] = frozenset()
    name: str = ""
    phase: Phase = Phase.NOTHING
    killed: bool = False
    stopped: bool = False
    _asking: bool = False
    _sleep: Callable[[float], None] = field(default=time.sleep)

    def ask(self, name: str, create: Callable[[], None]) -> None:
        """Call Create, unless the task has been killed."""
        self.require_life()
        self.name, self.phase, self._asking = name, Phase.UNANSWERED, True
        try:
            create()
            self.phase = Phase.OURS
        finally:
            self._asking = False

    def adopt(self, name: str) -> None:
        """The job of that name does the task's work."""
        self.name, self.phase = name, Phase.OURS

    def drop(self) -> None:
        """The job of that name is not ours, or not ours any more."""
        self.phase = Phase.NOTHING

    def require_life(self) -> None:
        """Raise once the task was killed, when its job, if there is one, is stopped."""
        if self.killed:
            self.stop_quietly()
            raise KilledError

    def kill(self, patience_s: float = UNANSWERED_PATIENCE_S) -> None:
        """The task is over: from now on no job is made, and the one that may be there is stopped.

        While Create is being called, below the signal handler that this runs in, one look has to do: what
        Create answers is looked at again by :meth:`require_life`.
        """
        self.killed = True
        self.stop_quietly(0.0 if self._asking else patience_s)

    def stop_quietly(self, patience_s: float = 0.0) -> None:
        """Stop the job; where AWS cannot be told now, say so and leave it to the housekeeping DAG."""
        if self.stopped or self.phase is Phase.NOTHING:
            return
        try:
            tags = None
            if self.phase is Phase.UNANSWERED:
                tags = self._tags_once_there(patience_s)
                if tags is None or not self.is_ours(tags):
                    return
            if self._is_taken_over(tags):
                self.log.info("%s %s is left to a later try of the task", self.kind.noun, self.name)
                self.drop()
                return
            self.log.info("Stopping %s %s", self.kind.noun, self.name)
            self.stopped = self.api.stop(self.kind, self.name)
        except SageMakerError as error:
            self.log.warning("%s %s could not be stopped: %s", self.kind.noun, self.name, error)

    def _tags_once_there(self, patience_s: float) -> dict[str, str] | None:
        """The tags of the job, after waiting for it so long; None where there is none."""
        looks = int(patience_s / LOOK_INTERVAL_S)
        while True:
            described = self.api.describe(self.kind, self.name)
            if described is not None:
                return self.api.tags(described[self.kind.arn_field])
            if looks <= 0:
                return None
            looks -= 1
            self._sleep(LOOK_INTERVAL_S)

    def _is_taken_over(self, tags: Mapping[str, str] | None) -> bool:
        """Whether a later try works with the job: this one stood still, was taken for dead, and came back.

        Where AWS does not tell, the kill is taken for what it nearly always is.

        :param tags: of the job, where they have just been asked for: Airflow gives a kill five seconds
        """
        try:
            if tags is None:
                tags = self._tags_once_there(0.0) or {}
        except SageMakerError as error:
            self.log.warning("Who works with %s %s is not known: %s", self.kind.noun, self.name, error)
            return False
        latest = tags.get(TRY_TAG, "")
        return latest.isdecimal() and int(latest) > self.try_number

    def is_ours(self, tags: Mapping[str, str]) -> bool:
        """Whether a job with these tags was made for this task by this Airflow."""
        return tags.get(OWNER_TAG) == self.owner and not self.is_of_another_airflow(tags)

    def is_of_another_airflow(self, tags: Mapping[str, str]) -> bool:
        """Whether another Airflow, with a task of the same names, made it; not where either is unknown."""
        made_by = tags.get(DEPLOYMENT_TAG)
        return made_by is not None and bool(self.deployments) and made_by not in self.deployments
