"""A task that trains, the context that Airflow gives it, and what it did to AWS."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred

from airflow_sagemaker.names import TEMPLATE_MACROS
from airflow_sagemaker.operators.training import TrainingJobOperator
from airflow_sagemaker.specs.training import TrainingJob

RUN_ID = "manual__2026-01-01T00:00:00+00:00"
JOB = TrainingJob(image="digits", output="builds/{{ run_key(run_id) }}/", max_runtime_s=60)


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


class Jobs:
    """What a task did to AWS."""

    def __init__(self) -> None:
        self.created: list[Mapping[str, Any]] = []
        self.stopped: list[str] = []
        self.found: dict[str, Any] | None = None


def operator(**arguments: Any) -> TrainingJobOperator:
    with DAG("digits__model_build", schedule=None, user_defined_macros=TEMPLATE_MACROS):
        return TrainingJobOperator(task_id="train", **{"job": JOB, **arguments})


def context(task: Any, *, try_number: int = 1, max_tries: int = 0, store: Store | None = None) -> Any:
    ti = SimpleNamespace(
        dag_id="digits__model_build",
        run_id=RUN_ID,
        task_id=task.task_id,
        map_index=-1,
        try_number=try_number,
        max_tries=max_tries,
        task=task,
    )
    found = store if store is not None else Store()
    return {"ti": ti, "run_id": RUN_ID, "task_state_store": found}


def tags_of(request: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in request["Tags"]}


def deferred(task: Any, around: Any) -> TaskDeferred:
    task.render_template_fields(around)
    with pytest.raises(TaskDeferred) as raised:
        task.execute(around)
    return raised.value
