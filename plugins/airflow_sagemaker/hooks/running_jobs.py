"""The jobs in progress that some Airflow made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_sagemaker.fingerprint import OWNER_TAG
from airflow_sagemaker.hooks.faults import translated
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import COMPILATION, KINDS, JobKind
from airflow_sagemaker.names import DIGEST_LENGTH
from airflow_sagemaker.orphans import RunningJob

IN_PROGRESS = ("InProgress",)
STATUSES: Mapping[str, tuple[str, ...]] = {COMPILATION.operation: ("STARTING", "INPROGRESS")}
"""Of kinds that write it in another way; botocore's ``CompilationJobStatus``."""
OUR_NAME = re.compile(rf"[0-9a-f]{{{DIGEST_LENGTH}}}(-r\d+)?$")
"""How the names of tasks' jobs end: the tags of others are not asked for."""


class RunningJobsHook:
    """Lists them, and stops one."""

    def __init__(self, sagemaker: SageMakerHook) -> None:
        self.sagemaker = sagemaker
        self._jobs = JobHook(sagemaker)

    def all(self) -> list[RunningJob]:
        """Every job in progress, of each kind, that carries an owner's tag."""
        return [job for kind in KINDS.values() for job in self._of(kind)]

    def stop(self, job: RunningJob) -> bool:
        """Stop it; False where it has ended meanwhile."""
        return self._jobs.stop(job.kind, job.name)

    def _of(self, kind: JobKind) -> Iterator[RunningJob]:
        for summary in self._summaries(kind):
            name = str(summary[kind.name_field])
            if OUR_NAME.search(name):
                tags = self._jobs.tags(summary[kind.arn_field])
                if OWNER_TAG in tags:
                    yield RunningJob(kind, name, tags)

    def _summaries(self, kind: JobKind) -> list[Mapping[str, Any]]:
        client = self.sagemaker.client("sagemaker")
        with translated(f"{kind.noun.capitalize()}s in progress"):
            return [
                summary
                for status in STATUSES.get(kind.operation, IN_PROGRESS)
                for page in client.get_paginator(kind.list_operation).paginate(StatusEquals=status)
                for summary in page[kind.summaries_field]
            ]
