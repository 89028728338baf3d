"""What all operators share: the connection, the retry policy, the task's identity and its macros."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.retry_policy import RetryAction

from airflow_sagemaker.names import UNMAPPED, TaskIdentity
from airflow_sagemaker.policies import retry_policy
from airflow_sagemaker.specs.connection import DEFAULT_CONNECTION_ID
from airflow_sagemaker.task_record import Start

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.hooks.object_storage import ObjectStorageHook
    from airflow_sagemaker.hooks.sagemaker import SageMakerHook


class SageMakerOperator(BaseOperator):
    """Base of every operator here.

    :param aws_conn_id: the Airflow connection that leads to SageMaker
    :param region_name: a region other than the connection's
    """

    def __init__(
        self,
        *,
        aws_conn_id: str = DEFAULT_CONNECTION_ID,
        region_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retry_policy", retry_policy())
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name

    @cached_property
    def hook(self) -> SageMakerHook:
        """The connection, once for the task."""
        # Imported here: boto3 costs a third of a second in every process that parses the DAG.
        from airflow_sagemaker.hooks.sagemaker import SageMakerHook

        return SageMakerHook(self.aws_conn_id, self.region_name)

    @cached_property
    def storage(self) -> ObjectStorageHook:
        """Objects in S3 by the same connection."""
        from airflow_sagemaker.hooks.object_storage import ObjectStorageHook

        return ObjectStorageHook(sagemaker=self.hook)

    def may_end_in_trigger(self) -> bool:
        """Whether success needs no worker: outlets and success callbacks are handled by one."""
        needs_worker = self.outlets or self.on_success_callback or getattr(self, "multiple_outputs", False)
        return not needs_worker


def identity_of(context: Context) -> TaskIdentity:
    """The task instance at work, the same on every try."""
    ti = context["ti"]
    map_index = UNMAPPED if ti.map_index is None else ti.map_index
    return TaskIdentity(ti.dag_id, ti.run_id, ti.task_id, map_index)


def start_of(context: Context) -> Start:
    """The start that the try at work belongs to."""
    ti, run = context["ti"], context.get("dag_run")
    return Start(
        max_tries=int(ti.max_tries),
        retries=int(ti.task.retries or 0),
        try_number=int(ti.try_number),
        clear_number=int(getattr(run, "clear_number", None) or 0),
    )


def time_left_s(context: Context) -> float:
    """Seconds until the task's ``execution_timeout`` has passed; infinite where it has none.

    Airflow 3.3.2 counts them on workers only, anew on each, and ends no deferral for it (see the TODO of
    ``TIDeferredStatePayload`` in ``airflow/api_fastapi/execution_api/routes/task_instances.py``).
    """
    ti = context["ti"]
    limit, since = getattr(ti.task, "execution_timeout", None), getattr(ti, "start_date", None)
    if limit is None:
        return math.inf
    used_s = (datetime.now(tz=UTC) - since).total_seconds() if since else 0.0
    return float(limit.total_seconds() - used_s)


def will_retry(task: BaseOperator, context: Context, error: BaseException) -> bool:
    """Whether Airflow gives the task another try after this error.

    As ``_handle_current_task_failed`` in ``airflow/sdk/execution_time/task_runner.py`` decides it.
    """
    ti = context["ti"]
    return bool(ti.try_number <= ti.max_tries) and not ends_the_task(task, context, error)


def ends_the_task(task: BaseOperator, context: Context, error: BaseException) -> bool:
    """Whether the task's policy gives no other try after this error, however many are left."""
    ti, policy = context["ti"], task.retry_policy
    if policy is None:
        return False
    return policy.evaluate(error, ti.try_number, ti.max_tries, context).action is RetryAction.FAIL
