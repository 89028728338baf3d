"""Whether a job that runs is still wanted: by its tags, and by what Airflow says of its task instance.

What nobody waits for is paid for in vain. A job is an orphan only if everything about it is certain: it was
made by this Airflow, its tags tell one task instance, its name is the one that this task instance gives, and
that is over, or at work on a newer job. Everything else is left alone, and what is doubtful is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_sagemaker.deployment import DEPLOYMENT_TAG
from airflow_sagemaker.fingerprint import OWNER_TAG
from airflow_sagemaker.kinds import TRAINING, JobKind
from airflow_sagemaker.names import UNMAPPED, TaskIdentity, job_name

OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States in which a task instance makes no job and waits for none; whatever else it is, it may yet adopt."""
GONE = "deleted with its run"
TUNED = re.compile(r"-\d{3}-[0-9a-f]{8}$")
"""What a tuning job adds to its name for each of its training jobs."""
ATTEMPT = re.compile(r"-r(\d+)$")

States = Mapping[TaskIdentity, str | None]
"""The state of each task instance that Airflow knows; None is one that waits to be scheduled."""


@dataclass(frozen=True)
class RunningJob:
    """A job in progress, and the tags on it."""

    kind: JobKind
    name: str
    tags: Mapping[str, str] = field(compare=False)

    @property
    def attempt(self) -> int:
        """Which of its task's names it has."""
        found = ATTEMPT.search(self.name)
        return int(found[1]) if found else 0

    def told(self) -> TaskIdentity | None:
        """The task instance that its tags tell; None where they do not agree on one."""
        try:
            told = TaskIdentity(
                self.tags["airflow:dag_id"],
                self.tags["airflow:run_id"],
                self.tags["airflow:task_id"],
                int(self.tags.get("airflow:map_index", UNMAPPED)),
            )
        except (KeyError, ValueError):
            return None
        return told if self.tags.get(OWNER_TAG) == told.digest else None

    def owner(self) -> TaskIdentity | None:
        """The task instance that made it; None where tags and name do not agree on one."""
        if (owner := self.told()) is None:
            return None
        limit = self.kind.name_limit
        own_name = job_name(owner.dag_id, owner.run_id, owner.task_id, owner.map_index, self.attempt, limit)
        return owner if self.name == own_name else None

    def is_of_a_tuning_job(self) -> bool:
        """Whether a tuning job of the task made it, which hands down its tags and stops what it made."""
        told = self.told()
        return (
            self.kind is TRAINING
            and told is not None
            and bool(TUNED.search(self.name.partition(told.digest)[2]))
        )

    def is_of(self, deployment: str) -> bool:
        """Whether this Airflow made it."""
        return self.tags.get(DEPLOYMENT_TAG) == deployment

    def as_result(self, why: str) -> dict[str, Any]:
        """For an XCom."""
        return {"kind": self.kind.operation, "job_name": self.name, "why": why}


@dataclass(frozen=True)
class Judgement:
    """What is to become of the jobs in progress: orphans and doubtful ones, each with the reason."""

    orphans: Mapping[RunningJob, str]
    doubtful: Mapping[RunningJob, str]


def judge(jobs: Iterable[RunningJob], deployment: str, states: States) -> Judgement:
    """Tell the orphans among the jobs in progress.

    :param states: of every owner of ``jobs``; one that is missing is no more
    """
    mine = [job for job in jobs if job.is_of(deployment) and not job.is_of_a_tuning_job()]
    newest = _newest(mine)
    orphans, doubtful = {}, {}
    for job in mine:
        owner = job.owner()
        if owner is None:
            doubtful[job] = "its tags and its name do not tell one task instance"
            continue
        state = states.get(owner, GONE)
        task = f"task {owner.task_id} of {owner.dag_id}, run {owner.run_id}"
        if owner.map_index != UNMAPPED:
            task = f"{task}, map index {owner.map_index}"
        if state == GONE:
            orphans[job] = f"{task} was {GONE}"
        elif state in OVER:
            orphans[job] = f"{task} is over ({state})"
        elif newest[owner, job.kind.operation] != job.name:
            orphans[job] = f"{task} is at work on {newest[owner, job.kind.operation]}"
    return Judgement(orphans, doubtful)


def owners(jobs: Iterable[RunningJob], deployment: str) -> set[TaskIdentity]:
    """The task instances that Airflow has to be asked about."""
    return {owner for job in jobs if job.is_of(deployment) and (owner := job.owner()) is not None}


def _newest(jobs: Iterable[RunningJob]) -> dict[tuple[TaskIdentity, str], str]:
    """The last name that each task instance took, among its jobs in progress."""
    last: dict[tuple[TaskIdentity, str], RunningJob] = {}
    for job in jobs:
        if (owner := job.owner()) is None:
            continue
        key = (owner, job.kind.operation)
        if key not in last or job.attempt > last[key].attempt:
            last[key] = job
    return {key: job.name for key, job in last.items()}
