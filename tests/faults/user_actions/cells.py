"""The matrix of what ends a task from outside and where the task is then, with who stops its paid job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    """What happens to the task."""

    MARK_FAILED = "mark failed"
    MARK_SUCCESS = "mark success"
    CLEAR = "clear"
    DELETE_RUN = "delete run"
    DAG_TIMEOUT = "DAG timeout"
    TASK_TIMEOUT = "task timeout"
    DEFERRAL_TIMEOUT = "deferral timeout"


class Where(Enum):
    """Where the task is then."""

    QUEUED = "queued"
    """For the first time: there is no job."""
    QUEUED_AGAIN = "queued again"
    """Its worker was lost, or its trigger has fired: there is a job, and no process that knows it."""
    RUNNING = "running"
    """A worker is waiting for the answer to Create."""
    ON_WORKER = "on its worker"
    """A worker waits for the job itself."""
    DEFERRED = "deferred"


class Who(Enum):
    """Who stops the paid job."""

    NO_JOB = "no job is made"
    WORKER = "the worker"
    TRIGGERER = "the triggerer"
    NEXT_TRY = "the cleared task's next try"
    HOUSEKEEPING = "housekeeping"
    NO_TIMER = "no timer runs"
    """The task goes on: it makes its job, or adopts the one there is, and succeeds."""


Q, A, R = Where.QUEUED, Where.QUEUED_AGAIN, Where.RUNNING
W, D = Where.ON_WORKER, Where.DEFERRED
MATRIX: Mapping[Action, Mapping[Where, Who]] = {
    Action.MARK_FAILED: {Q: Who.NO_JOB, A: Who.HOUSEKEEPING, R: Who.WORKER, W: Who.WORKER, D: Who.TRIGGERER},
    Action.MARK_SUCCESS: {Q: Who.NO_JOB, A: Who.HOUSEKEEPING, R: Who.WORKER, W: Who.WORKER, D: Who.TRIGGERER},
    Action.CLEAR: {Q: Who.NO_JOB, A: Who.NEXT_TRY, R: Who.WORKER, W: Who.WORKER, D: Who.TRIGGERER},
    Action.DELETE_RUN: {Q: Who.NO_JOB, A: Who.HOUSEKEEPING, R: Who.WORKER, W: Who.WORKER, D: Who.TRIGGERER},
    Action.DAG_TIMEOUT: {Q: Who.NO_JOB, A: Who.HOUSEKEEPING, R: Who.WORKER, W: Who.WORKER, D: Who.TRIGGERER},
    Action.TASK_TIMEOUT: {Q: Who.NO_TIMER, A: Who.NO_TIMER, R: Who.WORKER, W: Who.WORKER, D: Who.TRIGGERER},
    Action.DEFERRAL_TIMEOUT: {Q: Who.NO_TIMER, A: Who.WORKER, R: Who.WORKER, W: Who.WORKER, D: Who.TRIGGERER},
}

DAG_OF: Mapping[Action, str] = {
    Action.DAG_TIMEOUT: "dag_timeout",
    Action.TASK_TIMEOUT: "task_timeout",
    Action.DEFERRAL_TIMEOUT: "deferral_timeout",
}
"""Of an action that is a timeout; the others are done to runs of ``plain``."""

FINAL_STATES: Mapping[Action, str | None] = {
    Action.MARK_FAILED: "failed",
    Action.MARK_SUCCESS: "success",
    Action.CLEAR: "success",
    Action.DELETE_RUN: None,
    Action.DAG_TIMEOUT: "skipped",
    Action.TASK_TIMEOUT: "failed",
    Action.DEFERRAL_TIMEOUT: "failed",
}
"""Of the task where a timer ran or a person acted; None: there is no such task any more."""

LONG_S, SHORT_S = 600, 5


@dataclass(frozen=True, slots=True)
class Cell:
    """One run: a task that is somewhere when something happens to it.

    Attributes:
        action: What happens.
        where: Where the task is.
        who: Who stops its job.
        dag: The end of its DAG's id.
        triggerer_down: The triggerer is killed before, and started again after.
    """

    action: Action
    where: Where
    who: Who
    dag: str
    triggerer_down: bool = False

    @property
    def dag_id(self) -> str:
        """Of its DAG."""
        return f"user_actions__{self.dag}"

    @property
    def run_id(self) -> str:
        """Of its run, also its name."""
        parts = [self.dag, self.action.value, self.where.value, *["triggerer down"] * self.triggerer_down]
        return "-".join(part.replace(" ", "_").replace("_", "") for part in parts)

    @property
    def seconds(self) -> int:
        """How long its job takes if nobody stops it; one that a cleared task makes anew takes no time."""
        goes_on = self.who is Who.NO_TIMER or (self.action is Action.CLEAR and self.who is Who.NO_JOB)
        return SHORT_S if goes_on else LONG_S

    @property
    def final_state(self) -> str | None:
        """Of its task."""
        return "success" if self.who is Who.NO_TIMER else FINAL_STATES[self.action]


def _dag_of(action: Action, where: Where) -> str:
    if action is Action.DEFERRAL_TIMEOUT and where in (Where.RUNNING, Where.QUEUED_AGAIN):
        # Airflow's own end of a deferral is what sends a task back to a worker with its job alive.
        return "airflows_deferral_timeout"
    if action is Action.TASK_TIMEOUT and where not in (Where.RUNNING, Where.ON_WORKER):
        return "long_task_timeout"
    dag = DAG_OF.get(action, "plain")
    return f"on_worker_{dag}" if where is Where.ON_WORKER else dag


TRAINING_CELLS = tuple(
    Cell(action, where, who, _dag_of(action, where))
    for action, row in MATRIX.items()
    for where, who in row.items()
)
OTHER_CELLS = (
    Cell(Action.MARK_FAILED, D, Who.TRIGGERER, "processing"),
    Cell(Action.MARK_SUCCESS, D, Who.TRIGGERER, "transform"),
    Cell(Action.DELETE_RUN, D, Who.TRIGGERER, "compilation"),
    Cell(Action.MARK_FAILED, D, Who.TRIGGERER, "tuning"),
)
"""What is said of training jobs holds for every kind."""
DOWN_CELLS = (
    Cell(Action.MARK_FAILED, D, Who.HOUSEKEEPING, "plain", triggerer_down=True),
    Cell(Action.DELETE_RUN, D, Who.HOUSEKEEPING, "plain", triggerer_down=True),
)
"""A triggerer that was not there when it happened is not told later."""
ENDPOINT_CELL = Cell(Action.CLEAR, D, Who.NO_TIMER, "endpoint")
"""SageMaker has no call to stop a rollout: it goes on, and the cleared task waits for the same one."""
CELLS = (*TRAINING_CELLS, *OTHER_CELLS, *DOWN_CELLS, ENDPOINT_CELL)
