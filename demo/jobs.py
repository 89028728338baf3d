"""When SageMaker's jobs ran, and how much of a span no job filled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class JobKind:
    """How one kind of job is listed and described."""

    noun: str
    list_operation: str
    describe_operation: str

    @property
    def summaries(self) -> str:
        """Member of the list answer."""
        return f"{self.noun}JobSummaries"


KINDS = (
    JobKind("Processing", "list_processing_jobs", "describe_processing_job"),
    JobKind("Training", "list_training_jobs", "describe_training_job"),
    JobKind("Compilation", "list_compilation_jobs", "describe_compilation_job"),
    JobKind("Transform", "list_transform_jobs", "describe_transform_job"),
)


@dataclass(frozen=True, slots=True)
class JobInterval:
    """One job and when it ran."""

    name: str
    kind: str
    status: str
    started_at: datetime
    ended_at: datetime

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return (self.ended_at - self.started_at).total_seconds()


def intervals(sagemaker: Any, since: datetime) -> dict[str, JobInterval]:
    """Every ended job created after a time, by name."""
    found = {}
    for kind in KINDS:
        pages = sagemaker.get_paginator(kind.list_operation).paginate(CreationTimeAfter=since)
        for page in pages:
            for item in page[kind.summaries]:
                name = item[f"{kind.noun}JobName"]
                job = getattr(sagemaker, kind.describe_operation)(**{f"{kind.noun}JobName": name})
                started, ended = job.get(f"{kind.noun}StartTime"), job.get(f"{kind.noun}EndTime")
                if started and ended:
                    status = job[f"{kind.noun}JobStatus"]
                    found[name] = JobInterval(name, kind.noun, status, started, ended)
    return found


def uncovered_s(start: datetime, end: datetime, jobs: Iterable[JobInterval]) -> float:
    """Seconds between start and end in which no job ran."""
    covered = 0.0
    reached = start
    for job in sorted(jobs, key=lambda job: job.started_at):
        first, last = max(job.started_at, reached), min(job.ended_at, end)
        if last > first:
            covered += (last - first).total_seconds()
            reached = last
    return (end - start).total_seconds() - covered
