"""What a plan may ask AWS when it is given a connection: it reads, and makes nothing."""

from __future__ import annotations

from typing import Any

from airflow_sagemaker.cache import Cache
from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.hooks.cache import CacheHook
from airflow_sagemaker.hooks.faults import translated
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import COMPILATION, JobKind
from airflow_sagemaker.names import TaskIdentity, slug
from airflow_sagemaker.plan.planner import Reuse
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.connection import ConnectionSettings

TIMES = ("StartTime", "EndTime")
MAX_NAME_CONTAINS = 50


class ConnectionLookout:
    """Looks by one Airflow connection.

    :param conn_id: the connection, from the environment, a secrets backend or Airflow's database
    """

    def __init__(self, conn_id: str, region_name: str | None = None) -> None:
        self._hook = SageMakerHook(conn_id, region_name)
        self._index = CacheHook(self._hook)

    @property
    def settings(self) -> ConnectionSettings:
        """Bucket, role and registry."""
        return self._hook.settings

    @property
    def region(self) -> str:
        """The region in use."""
        return self._hook.region

    def reuse(self, kind: JobKind, identity: TaskIdentity, body: JsonObject) -> Reuse:
        """What the cache has for a request."""
        try:
            found = Cache(self._index, kind, identity).look_up(body)
        except SageMakerError as error:
            return Reuse(f"unknown: {error}")
        verdict = f"reuses {found.job_name}" if found.job_name else f"runs; {found.reason}"
        return Reuse(verdict, found.job_name, found.changed, found.results)

    def runtime_s(self, kind: JobKind, identity: TaskIdentity) -> float | None:
        """How long the last completed job of this task of any run took; None where AWS tells of none."""
        client: Any = self._hook.client("sagemaker")
        stem = slug(f"{identity.dag_id}-{identity.task_id}")[:MAX_NAME_CONTAINS].strip("-")
        with translated(f"The list of {kind.noun}s"):
            listed = getattr(client, kind.list_operation)(
                NameContains=stem,
                StatusEquals="COMPLETED" if kind is COMPILATION else "Completed",
                SortBy="CreationTime",
                SortOrder="Descending",
                MaxResults=1,
            )[kind.summaries_field]
        if not listed:
            return None
        described = self._index.describe(kind, listed[0][kind.name_field]) or {}
        prefix = kind.title.removesuffix("Job")
        started, ended = (described.get(f"{prefix}{moment}") for moment in TIMES)
        return (ended - started).total_seconds() if started and ended else None
