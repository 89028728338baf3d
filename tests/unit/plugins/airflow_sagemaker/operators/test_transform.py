from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred

from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.kinds import JobKind
from airflow_sagemaker.operators.compilation import CompilationJobOperator
from airflow_sagemaker.operators.transform import BatchTransformOperator
from airflow_sagemaker.specs.compilation import CompilationJob
from airflow_sagemaker.specs.transform import TransformJob

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/digits/3"


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


@pytest.fixture
def created(moto_connection: str, monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    requests: list[Mapping[str, Any]] = []

    def create(_: JobHook, kind: JobKind, request: Mapping[str, Any]) -> None:
        _.validate(f"Create{kind.title}", request)
        requests.append(request)

    monkeypatch.setattr(JobHook, "create", create)
    return requests


def run(task: Any) -> TaskDeferred:
    ti = SimpleNamespace(
        dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, max_tries=0, task=task
    )
    with pytest.raises(TaskDeferred) as raised:
        task.execute({"ti": ti, "run_id": "r", "task_state_store": Store()})
    return raised.value


def test_a_transform_makes_the_model_that_it_needs_once(created: list[Mapping[str, Any]]) -> None:
    job = TransformJob(model_package_arn=ARN, source="features/", destination="out/", max_runtime_s=60)
    with DAG("d", schedule=None):
        task = BatchTransformOperator(task_id="t", transform=job)
    waiting = run(task)
    run(task)
    assert len({request["ModelName"] for request in created}) == 1
    model = task.hook.client("sagemaker").describe_model(ModelName=created[0]["ModelName"])
    assert model["PrimaryContainer"]["ModelPackageName"] == ARN
    fields = waiting.trigger.serialize()[1]
    assert (fields["kind"], fields["max_runtime_s"]) == ("transform_job", 60)
    assert "prefix=out/" in task.link_urls["output"]


def test_a_compilation_waits_for_its_own_kind(created: list[Mapping[str, Any]]) -> None:
    job = CompilationJob(
        model_uri="m/model.tar.gz",
        framework="SKLEARN",
        input_shapes={"input": (1, 64)},
        output="c/",
        target_device="ml_c5",
    )
    with DAG("d", schedule=None):
        task = CompilationJobOperator(task_id="t", job=job)
    fields = run(task).trigger.serialize()[1]
    assert fields["kind"] == "compilation_job"
    names = {definition["Name"] for definition in fields["metric_definitions"]}
    assert names == {"max_abs_diff", "rows_that_differ", "speed_up_1", "speed_up_32", "speed_up_1024"}
    assert created[0]["InputConfig"]["S3Uri"] == "s3://data/m/model.tar.gz"
