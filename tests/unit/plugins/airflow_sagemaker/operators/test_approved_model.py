from __future__ import annotations

from typing import Any

import boto3
import pytest

from airflow_sagemaker.errors import RequestRejectedError
from airflow_sagemaker.operators.approved_model import ChooseModelOperator

CONTEXT: Any = {}


@pytest.fixture
def registry(moto_connection: str) -> Any:
    client = boto3.client("sagemaker", endpoint_url=moto_connection)
    for group in ("digits", "letters", "unused"):
        client.create_model_package_group(ModelPackageGroupName=group)
    return client


def register(client: Any, group: str, approval: str) -> str:
    container = {
        "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/digits:1",
        "ModelDataUrl": "s3://data/m.tar.gz",
    }
    arn: str = client.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus=approval,
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]
    return arn


def choose(arn: str | None = "") -> dict[str, Any]:
    return ChooseModelOperator(task_id="choose", group="digits", model_package_arn=arn).execute(CONTEXT)


def test_the_newest_approved_version_is_chosen(registry: Any) -> None:
    register(registry, "digits", "Approved")
    newest = register(registry, "digits", "Approved")
    register(registry, "digits", "Rejected")
    register(registry, "digits", "PendingManualApproval")
    register(registry, "letters", "Approved")
    assert choose() == choose(None) == {"model_package_arn": newest}


def test_a_run_may_name_an_older_version(registry: Any) -> None:
    older = register(registry, "digits", "Approved")
    register(registry, "digits", "Approved")
    assert choose(older) == {"model_package_arn": older}


@pytest.mark.parametrize("status", ["Rejected", "PendingManualApproval"])
def test_only_an_approved_version_can_be_named(registry: Any, status: str) -> None:
    with pytest.raises(RequestRejectedError, match=rf"it is {status}\. Approve it first"):
        choose(register(registry, "digits", status))


def test_a_version_of_another_model_is_refused(registry: Any) -> None:
    other = register(registry, "letters", "Approved")
    with pytest.raises(RequestRejectedError, match="it belongs to letters, not to digits"):
        choose(other)


def test_no_approved_version_says_what_to_do(registry: Any) -> None:
    register(registry, "digits", "Rejected")
    with pytest.raises(
        RequestRejectedError, match=r"no approved version\. Run the pipeline's model_build DAG"
    ):
        choose()
