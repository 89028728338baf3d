"""Endpoints against moto."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from airflow_sagemaker.errors import InvocationError, RequestRejectedError
from airflow_sagemaker.hooks.endpoints import SHOWN_CHARACTERS, EndpointHook
from airflow_sagemaker.hooks.models import ModelHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.specs.endpoint import EndpointRollout

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/digits/3"


@pytest.fixture
def hook(moto_connection: str) -> SageMakerHook:
    return SageMakerHook()


def test_created_described_and_deleted(hook: SageMakerHook) -> None:
    endpoint, models = EndpointHook(hook, "digits"), ModelHook(hook)
    assert endpoint.describe() is None
    rollout = EndpointRollout(endpoint_name="digits", model_package_arn=ARN)
    config = models.ensure_endpoint_config(rollout, models.ensure_model(rollout.to_model()))
    endpoint.create(config, {"team": "ml"})
    described = endpoint.describe()
    assert described is not None
    assert described["EndpointConfigName"] == config
    endpoint.delete()
    assert endpoint.describe() is None
    endpoint.delete()


def refuse(hook: SageMakerHook, monkeypatch: pytest.MonkeyPatch, code: str, **more: object) -> None:
    answer = {
        "Error": {"Code": code, "Message": "Received server error (500) from primary"},
        "ResponseMetadata": {"HTTPStatusCode": 424},
        **more,
    }

    def invoke(**_: object) -> None:
        raise ClientError(answer, "InvokeEndpoint")  # type: ignore[arg-type]

    monkeypatch.setattr(hook.client("sagemaker-runtime"), "invoke_endpoint", invoke)


def test_an_error_of_the_container_shows_its_status_and_what_it_said(
    hook: SageMakerHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "row 1 has 3 columns, not 64\n" + "x" * SHOWN_CHARACTERS
    refuse(hook, monkeypatch, "ModelError", OriginalStatusCode=400, OriginalMessage=said)
    with pytest.raises(InvocationError) as raised:
        EndpointHook(hook, "digits").invoke(b"1,2,3", "text/csv", "text/csv")
    assert str(raised.value).startswith(
        "Endpoint 'digits': its container answers 400: row 1 has 3 columns, not 64\nxxx"
    )
    assert raised.value.cause.endswith("x…")
    assert len(raised.value.cause) < 2 * SHOWN_CHARACTERS
    assert "spec" not in raised.value.remedy


def test_an_error_of_the_container_without_details_shows_what_aws_says(
    hook: SageMakerHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(hook, monkeypatch, "ModelError")
    with pytest.raises(InvocationError, match=r"answers an error: Received server error \(500\)"):
        EndpointHook(hook, "digits").invoke(b"1", "text/csv", "text/csv")


def test_a_request_that_sagemaker_itself_refuses_stays_that(
    hook: SageMakerHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(hook, monkeypatch, "ValidationError")
    with pytest.raises(RequestRejectedError):
        EndpointHook(hook, "digits").invoke(b"1", "text/csv", "text/csv")
