"""One step of a chain: what passes between the end of its job and the creation of the next one."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from demo.stack import Stack

FIRED = "Trigger fired event"
"""What Airflow's triggerer writes into the task's log once a trigger has told its event."""
PARTS = (
    ("seen", "the job's end → its trigger tells (look, describe, last lines)"),
    ("told", "→ the task is over (triggerer's loop; where a worker ends it, that too)"),
    ("queued", "→ the next task is queued (scheduler's loop)"),
    ("forked", "→ it runs (worker's process, its first call of Airflow's API)"),
    ("created", "→ its job is created (DAG file, operator, Create)"),
)


@dataclass(frozen=True)
class Step:
    """The moments of one step, seconds since the epoch."""

    moments: tuple[float, ...]

    @property
    def overhead_s(self) -> float:
        """All of it."""
        return self.moments[-1] - self.moments[0]

    @property
    def parts_s(self) -> dict[str, float]:
        """By the names of :data:`PARTS`."""
        return {
            name: after - before
            for (name, _), (before, after) in zip(PARTS, pairwise(self.moments), strict=True)
        }


def steps_of_jobs(stack: Stack, dag_id: str, run_id: str, jobs: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The steps of one run, given its jobs as described."""
    jobs = sorted(jobs, key=lambda job: float(job["CreationTime"].timestamp()))
    tasks = sorted(stack.api.tasks(dag_id, run_id), key=lambda task: str(task["task_id"]))
    steps = []
    for (job, next_job), (task, next_task) in zip(pairwise(jobs), pairwise(tasks), strict=True):
        ended_s = seconds(task["end_date"])
        fired_s = fired_at(stack.api.log_lines(dag_id, run_id, task["task_id"], try_number=1))
        steps.append(
            Step(
                (
                    job["TrainingEndTime"].timestamp(),
                    ended_s if fired_s is None else fired_s,
                    ended_s,
                    # A deferred task that went back to a worker was queued twice: the scheduler's first time
                    # is overwritten, and what it took is in the worker's part.
                    min(seconds(next_task["queued_when"]), seconds(next_task["start_date"])),
                    seconds(next_task["start_date"]),
                    next_job["CreationTime"].timestamp(),
                )
            )
        )
    return steps


def gaps_of_tasks(stack: Stack, dag_id: str, run_id: str) -> list[float]:
    """From each task's end to the next one's start."""
    tasks = sorted(stack.api.tasks(dag_id, run_id), key=lambda task: str(task["start_date"]))
    return [seconds(after["start_date"]) - seconds(task["end_date"]) for task, after in pairwise(tasks)]


def fired_at(lines: Iterable[str]) -> float | None:
    """When the trigger told its event, by the task's log; None where it does not say."""
    found = [line for line in lines if FIRED in line]
    return seconds(found[-1].split()[0]) if found else None


def seconds(text: str) -> float:
    """A time of Airflow's API as seconds since the epoch."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def medians(steps: Sequence[Step]) -> dict[str, float]:
    """The median of each part."""
    return {name: statistics.median(step.parts_s[name] for step in steps) for name, _ in PARTS}
