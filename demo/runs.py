"""DAG runs followed to their end: what their tasks do now, and what is worth telling when one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from demo.airflow_api import AirflowApi, AirflowApiError, Json

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
DONE_RUNS = frozenset({"success", "failed"})
POLL_INTERVAL_S = 0.5
LOOKS_AT_TASKS_ALONE = 3
"""Between two looks at a run as long as tasks of it are under way: each costs the API server its time."""


class RunFailedError(Exception):
    """A DAG run failed; names the dag, the task and the end of its log."""


@dataclass(slots=True)
class TaskRecord:
    """One task of a run as it was last seen.

    Attributes:
        queued_at: When it was queued first; Airflow overwrites its own note when a deferred task resumes.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    state: str | None = None
    try_number: int = 0
    queued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def queued_s(self) -> float:
        """Time between being queued and starting."""
        if self.queued_at is None or self.started_at is None:
            return 0.0
        return max(0.0, (self.started_at - self.queued_at).total_seconds())

    @property
    def run_s(self) -> float:
        """Time between start and end, deferral included."""
        if self.started_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, (self.ended_at - self.started_at).total_seconds())

    def update(self, seen: Json) -> None:
        """Take over what the API says now."""
        if self.try_number != seen["try_number"]:
            self.queued_at = None
        self.state = seen["state"]
        self.try_number = seen["try_number"]
        self.queued_at = self.queued_at or _time(seen["queued_when"])
        self.started_at = _time(seen["start_date"])
        self.ended_at = _time(seen["end_date"])


@dataclass(slots=True)
class RunRecord:
    """One DAG run as it was last seen."""

    dag_id: str
    run_id: str
    state: str = "queued"
    logical_date: datetime | None = None
    tasks: dict[tuple[str, int], TaskRecord] = field(default_factory=dict)
    looks_left: int = 0

    def refresh(self, api: AirflowApi) -> None:
        """Ask the API for the tasks, and for the run unless tasks of it are under way."""
        seen = None
        if self._idle or self.looks_left == 0:
            self.looks_left = LOOKS_AT_TASKS_ALONE + 1
            seen = api.run(self.dag_id, self.run_id)
        self.looks_left -= 1
        for task in api.tasks(self.dag_id, self.run_id):
            key = (task["task_id"], task["map_index"])
            record = self.tasks.setdefault(key, TaskRecord(self.dag_id, self.run_id, *key))
            record.update(task)
        if seen is not None:
            # Last, so that a finished run has all its tasks.
            self.state = seen["state"]
            self.logical_date = _time(seen["logical_date"])
        elif self._idle:
            self.refresh(api)

    @property
    def _idle(self) -> bool:
        """Whether no task is known to be under way or to come."""
        return all(task.state in FINISHED for task in self.tasks.values())

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        return self.state in DONE_RUNS


def follow(
    api: AirflowApi,
    runs: Iterable[RunRecord],
    *,
    timeout_s: float,
    seen: Callable[[list[RunRecord]], None] = lambda _: None,
) -> list[RunRecord]:
    """Refresh runs until all have ended; ``seen`` is called after every look.

    Raises:
        TimeoutError: names the runs that had not ended and what their tasks were doing.
    """
    runs = list(runs)
    deadline = time.monotonic() + timeout_s
    while True:
        for run in runs:
            if not run.done:
                run.refresh(api)
        seen(runs)
        if all(run.done for run in runs):
            return runs
        if time.monotonic() > deadline:
            raise TimeoutError("\n".join(_unfinished(run) for run in runs if not run.done))
        time.sleep(POLL_INTERVAL_S)


def require_success(api: AirflowApi, runs: Iterable[RunRecord]) -> None:
    """Raise RunFailedError for the first failed task of the first failed run."""
    for run in runs:
        if run.state == "success":
            continue
        failed = [task for task in run.tasks.values() if task.state == "failed"]
        if not failed:
            states = ", ".join(f"{task.task_id} {task.state}" for task in run.tasks.values())
            raise RunFailedError(f"{run.dag_id} {run.run_id} ended as {run.state}: {states}")
        task = min(failed, key=lambda task: task.ended_at or datetime.max.replace(tzinfo=UTC))
        raise RunFailedError(
            f"{task.dag_id}: task {task.task_id} of run {task.run_id} failed.\nIts log ends with:\n"
            + "\n".join(f"  {line}" for line in last_log_lines(api, task))
        )


def last_log_lines(api: AirflowApi, task: TaskRecord, count: int = 25) -> list[str]:
    """The end of a task's log, or why it cannot be had."""
    try:
        lines = api.log_lines(task.dag_id, task.run_id, task.task_id, try_number=max(task.try_number, 1))
    except AirflowApiError as error:
        return [f"(no log: {error})"]
    return lines[-count:]


def _unfinished(run: RunRecord) -> str:
    tasks = ", ".join(
        f"{task.task_id} {task.state}" for task in run.tasks.values() if task.state not in FINISHED
    )
    return f"{run.dag_id} {run.run_id} is still {run.state}: {tasks or 'no task started'}"


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
