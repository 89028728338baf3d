from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Asset

from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.names import TEMPLATE_MACROS, run_key
from airflow_sagemaker.operators.model import ApproveModelOperator, RegisterModelOperator
from airflow_sagemaker.specs.model import ModelPackage
from tests.unit.plugins.airflow_sagemaker.fake_aws import Store

RUN_ID = "manual__1"
ASSET = Asset("sagemaker://digits/approved-model")
SPEC = ModelPackage(group="digits", image="digits", model_uri="builds/{{ run_key(run_id) }}/model.tar.gz")


def context(task_id: str) -> Any:
    ti = SimpleNamespace(dag_id="d", run_id=RUN_ID, task_id=task_id, map_index=-1)
    return {
        "ti": ti,
        "run_id": RUN_ID,
        "task_state_store": Store(),
        "outlet_events": {ASSET: SimpleNamespace(extra={"kept": 1})},
    }


@pytest.fixture
def registered(moto_connection: str) -> dict[str, Any]:
    with DAG("d", schedule=None, user_defined_macros=TEMPLATE_MACROS):
        task = RegisterModelOperator(task_id="register", model=SPEC)
    around = context("register")
    task.render_template_fields(around)
    first: dict[str, Any] = task.execute(around)
    assert task.execute(around) == first
    return first


def test_a_version_is_registered_with_its_rendered_spec(registered: dict[str, Any]) -> None:
    assert registered["version"] == 1
    described = (
        SageMakerHook()
        .client("sagemaker")
        .describe_model_package(ModelPackageName=registered["model_package_arn"])
    )
    (container,) = described["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == f"s3://data/builds/{run_key(RUN_ID)}/model.tar.gz"
    assert described["ModelApprovalStatus"] == "PendingManualApproval"


def test_an_approval_tells_the_assets_which_version(registered: dict[str, Any]) -> None:
    arn = registered["model_package_arn"]
    with DAG("d", schedule=None):
        task = ApproveModelOperator(task_id="approve", model_package_arn=arn, note="passed", outlets=[ASSET])
    around = context("approve")
    assert task.execute(around) == {"model_package_arn": arn, "status": "Approved"}
    assert around["outlet_events"][ASSET].extra == {
        "kept": 1,
        "model_package_arn": arn,
        "status": "Approved",
    }
    described = SageMakerHook().client("sagemaker").describe_model_package(ModelPackageName=arn)
    assert (described["ModelApprovalStatus"], described["ApprovalDescription"]) == ("Approved", "passed")
