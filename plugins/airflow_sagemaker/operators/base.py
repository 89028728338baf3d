"""What all operators share: the connection, the retry policy, the task's identity and its macros."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_sagemaker.names import UNMAPPED, TaskIdentity
from airflow_sagemaker.policies import retry_policy
from airflow_sagemaker.specs.connection import DEFAULT_CONNECTION_ID

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


def tries_before_clear(context: Context) -> int:
    """How many tries the task had used when it was last cleared; 0 if it never was.

    Clearing sets ``max_tries`` to the tries used plus ``retries`` (``clear_task_instances`` in
    ``airflow/models/taskinstance.py``), which the task SDK reads back the same way. A lost worker leaves
    it as it is: that is what tells a fresh start from a resumption.
    """
    ti = context["ti"]
    return max(int(ti.max_tries) - int(ti.task.retries or 0), 0)
