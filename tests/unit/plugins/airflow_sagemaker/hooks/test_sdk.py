"""What the SDK puts on the wire, with nothing behind it: the request as asked, to the endpoint as told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_sagemaker.hooks import sdk
from airflow_sagemaker.hooks.request_validation import problems
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.compilation import CompilationJob, TargetPlatform
from airflow_sagemaker.specs.endpoint import EndpointRollout
from airflow_sagemaker.specs.processing import ProcessingInput, ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.training import Channel, MetricDefinition, TrainingJob
from airflow_sagemaker.specs.transform import TransformJob
from airflow_sagemaker.specs.tuning import (
    CategoricalParameterRange,
    ContinuousParameterRange,
    IntegerParameterRange,
    TuningJob,
)

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/digits/3"
ENDPOINT_URL = "http://127.0.0.1:9"
TAGS = [{"Key": "airflow:owner", "Value": "x"}]


class Refused:
    status_code = 400
    headers: dict[str, str] = {}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> SageMakerHook:
    extra = {
        "region_name": "us-east-1",
        "endpoint_url": ENDPOINT_URL,
        "sagemaker": {"bucket": "data", "role_arn": "arn:aws:iam::123456789012:role/sagemaker"},
    }
    connection = {"conn_type": "aws", "login": "key-id", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps(connection))
    return SageMakerHook()


def requests_of(hook: SageMakerHook) -> dict[str, JsonObject]:
    rollout = EndpointRollout(endpoint_name="e", model_package_arn=ARN, environment={"Mixed_Case": "1"})
    return {
        "TrainingJob": TrainingJob(
            image="digits",
            output="training/",
            hyperparameters={"C": 0.5, "maxIter": 3, "snake_case": "x"},
            channels={"train": Channel(source="train/", content_type="text/csv")},
            environment={"Mixed_Case": "1"},
            metric_definitions=(MetricDefinition(name="acc", regex="acc=(.*)"),),
        ).to_request(hook),
        "ProcessingJob": ProcessingJob(
            image="prepare",
            entrypoint=("python", "main.py"),
            arguments=("--mode", "build"),
            environment={"Mixed_Case": "1"},
            inputs=(ProcessingInput(name="raw", source="raw/", path="/opt/ml/processing/input/raw"),),
            outputs=(ProcessingOutput(name="o", path="/opt/ml/processing/output", destination="o/"),),
        ).to_request(hook),
        "CompilationJob": CompilationJob(
            model_uri="m/model.tar.gz",
            framework="SKLEARN",
            input_shapes={"input": (1, 64)},
            output="compiled/",
            target_platform=TargetPlatform(os="LINUX", arch="X86_64"),
        ).to_request(hook),
        "TransformJob": TransformJob(model_package_arn=ARN, source="s/", destination="d/").to_request(
            hook, "m"
        ),
        "HyperParameterTuningJob": TuningJob(
            training=TrainingJob(image="digits", output="training/", hyperparameters={"a_b": 1}),
            metric="acc",
            ranges={
                "C": ContinuousParameterRange(type="continuous", minimum=0.1, maximum=2),
                "depth": IntegerParameterRange(type="integer", minimum=1, maximum=9),
                "kind": CategoricalParameterRange(type="categorical", values=("a", True)),
            },
            max_jobs=3,
            target_value=0.9,
            random_seed=7,
        ).to_request(hook),
        "Model": rollout.to_model().to_request(hook),
        "EndpointConfig": rollout.to_config_request("m"),
        "Endpoint": {"EndpointConfigName": "c"},
        "ModelPackageGroup": {"ModelPackageGroupDescription": "d"},
    }


@pytest.mark.parametrize(
    "resource",
    [
        "TrainingJob",
        "ProcessingJob",
        "CompilationJob",
        "TransformJob",
        "HyperParameterTuningJob",
        "Model",
        "EndpointConfig",
        "Endpoint",
        "ModelPackageGroup",
    ],
)
def test_the_sdk_sends_the_request_as_it_was_asked(hook: SageMakerHook, resource: str) -> None:
    seen: list[tuple[str, str, JsonObject]] = []

    def refuse(params: dict[str, Any], model: Any, **_: Any) -> tuple[Any, JsonObject]:
        seen.append((model.name, params["url"], json.loads(params["body"])))
        return Refused(), {"Error": {"Code": "Refused"}, "ResponseMetadata": {"HTTPStatusCode": 400}}

    answer: Any = refuse
    hook.session.events.register("before-call", answer)
    request = {f"{resource}Name": "name", **requests_of(hook)[resource], "Tags": TAGS}
    with pytest.raises(ClientError, match="Refused"):
        sdk.create(hook, resource, request)
    assert [operation for operation, _, _ in seen] == [f"Create{resource}"]
    assert seen[0][1].startswith(ENDPOINT_URL)
    assert seen[0][2] == request
    assert problems(f"Create{resource}", request) == []


def test_the_sdk_is_told_not_to_call_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAGEMAKER_USER_CONFIG_OVERRIDE", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("SAGEMAKER_VALIDATE_ROLE", raising=False)
    sdk.prepare_environment("eu-west-1")
    from sagemaker.core.config.config_manager import SageMakerConfig

    loaded = SageMakerConfig().load_sagemaker_config()
    assert loaded["SageMaker"]["PythonSDK"]["Modules"]["TelemetryOptOut"] is True


def test_a_choice_made_outside_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("SAGEMAKER_USER_CONFIG_OVERRIDE", "/etc/ours.yaml")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
    sdk.prepare_environment("eu-west-1")
    assert os.environ["SAGEMAKER_USER_CONFIG_OVERRIDE"] == "/etc/ours.yaml"
    assert os.environ["AWS_DEFAULT_REGION"] == "us-east-2"
