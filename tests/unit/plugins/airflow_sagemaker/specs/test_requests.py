"""Every spec's request, against AWS's own API model and against what the SDK puts on the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from pydantic import ValidationError

from airflow_sagemaker.specs.base import JsonObject, Resources
from airflow_sagemaker.specs.compilation import CompilationJob, TargetPlatform
from airflow_sagemaker.specs.endpoint import EndpointRollout
from airflow_sagemaker.specs.model import ModelPackage, PackagedModel
from airflow_sagemaker.specs.processing import ProcessingInput, ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.training import Channel, MetricDefinition, TrainingJob
from airflow_sagemaker.specs.transform import TransformJob

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/digits/3"


class Places:
    role_arn = "arn:aws:iam::123456789012:role/sagemaker"

    def s3_uri(self, location: str) -> str:
        return location if location.startswith("s3://") else f"s3://data/{location}"

    def image_uri(self, image: str) -> str:
        return f"registry/{image}:latest"


PROCESSING = ProcessingJob(
    image="prepare",
    entrypoint=("python", "main.py"),
    arguments=("--mode", "build"),
    environment={"FOO_BAR": 1, "debug": True},
    inputs=(ProcessingInput(name="raw", source="raw/", path="/opt/ml/processing/input/raw"),),
    outputs=(ProcessingOutput(name="train", path="/opt/ml/processing/output/train", destination="out/"),),
)
TRAINING = TrainingJob(
    image="digits",
    output="training/",
    hyperparameters={"C": 0.5, "max_iter": 200, "warm_start": True, "name": "x"},
    channels={"train": Channel(source="train/", content_type="text/csv"), "test": Channel(source="s3://b/t")},
    environment={"A": "b"},
    resources=Resources(instance_type="ml.c5.xlarge", instance_count=2, volume_gb=50),
    max_runtime_s=60,
    metric_definitions=(MetricDefinition(name="acc", regex="acc=(.*)"),),
)
COMPILATION = CompilationJob(
    model_uri="m/model.tar.gz",
    framework="SKLEARN",
    framework_version="1.5",
    input_shapes={"input": (1, 64)},
    output="compiled/",
    target_platform=TargetPlatform(os="LINUX", arch="X86_64", accelerator="NVIDIA"),
    compiler_options='{"a": 1}',
)
TRANSFORM = TransformJob(
    model_package_arn=ARN, source="features/", destination="out/", environment={"A_b": "1"}
)
PACKAGE = ModelPackage(
    group="digits",
    image="digits",
    model_uri="m/model.tar.gz",
    metrics="evaluation.json",
    description="one",
    environment={"A": "b"},
    metadata={"accuracy": 0.97},
)
ROLLOUT = EndpointRollout(endpoint_name="digits", model_package_arn=ARN, environment={"A": "b"})

REQUESTS: Mapping[str, JsonObject] = {
    "CreateProcessingJob": {"ProcessingJobName": "n", **PROCESSING.to_request(Places())},
    "CreateTrainingJob": {"TrainingJobName": "n", **TRAINING.to_request(Places())},
    "CreateCompilationJob": {"CompilationJobName": "n", **COMPILATION.to_request(Places())},
    "CreateTransformJob": {"TransformJobName": "n", **TRANSFORM.to_request(Places(), "model")},
    "CreateModel": {"ModelName": "n", **ROLLOUT.to_model().to_request(Places())},
    "CreateEndpointConfig": {"EndpointConfigName": "n", **ROLLOUT.to_config_request("model")},
    "CreateModelPackage": PACKAGE.to_request(Places()),
}


@pytest.mark.parametrize("operation", REQUESTS)
def test_aws_own_model_accepts_every_request(operation: str) -> None:
    service: Any = botocore.session.get_session().get_service_model("sagemaker")
    report = ParamValidator().validate(REQUESTS[operation], service.operation_model(operation).input_shape)
    assert not report.has_errors(), report.generate_report()


def test_numbers_and_booleans_reach_the_container_as_text() -> None:
    assert REQUESTS["CreateTrainingJob"]["HyperParameters"] == {
        "C": "0.5",
        "max_iter": "200",
        "warm_start": "true",
        "name": "x",
    }
    assert REQUESTS["CreateProcessingJob"]["Environment"] == {"FOO_BAR": "1", "debug": "true"}


def test_what_was_not_asked_for_is_not_sent() -> None:
    bare = ProcessingJob(image="p").to_request(Places())
    assert set(bare) == {"AppSpecification", "ProcessingResources", "RoleArn", "StoppingCondition"}
    assert bare["AppSpecification"] == {"ImageUri": "registry/p:latest"}
    assert "ContentType" not in REQUESTS["CreateTrainingJob"]["InputDataConfig"][1]


def test_input_shapes_are_the_json_that_neo_reads() -> None:
    given = json.loads(REQUESTS["CreateCompilationJob"]["InputConfig"]["DataInputConfig"])
    assert given == {"input": [1, 64]}


def test_machines_and_limits_are_those_of_the_spec() -> None:
    request = REQUESTS["CreateTrainingJob"]
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.c5.xlarge",
        "InstanceCount": 2,
        "VolumeSizeInGB": 50,
    }
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 60}


def test_a_model_is_readable_by_its_group_and_version() -> None:
    assert PackagedModel(model_package_arn=ARN).stem == "digits-3"
    assert PackagedModel(model_package_arn="odd").stem == "model"


@pytest.mark.parametrize("spec", [PROCESSING, TRAINING, COMPILATION, TRANSFORM, PACKAGE, ROLLOUT])
def test_a_spec_survives_the_way_through_airflow(spec: Any) -> None:
    """Dumped when the DAG is parsed, rendered, validated when the task runs."""
    assert type(spec).model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize("spec", [PROCESSING, TRAINING, COMPILATION, TRANSFORM, PACKAGE, ROLLOUT])
def test_a_misspelt_field_is_refused_by_name(spec: Any) -> None:
    with pytest.raises(ValidationError, match="instnce_type"):
        type(spec).model_validate({**spec.model_dump(), "instnce_type": "ml.m5.large"})


@pytest.mark.parametrize(
    "targets", [{}, {"target_device": "ml_c5", "target_platform": {"os": "LINUX", "arch": "ARM64"}}]
)
def test_a_compilation_has_exactly_one_target(targets: JsonObject) -> None:
    with pytest.raises(ValidationError, match="exactly one of target_device and target_platform"):
        CompilationJob.model_validate(
            {
                "model_uri": "m",
                "framework": "SKLEARN",
                "input_shapes": {"input": [1]},
                "output": "o",
                **targets,
            }
        )


def test_a_slow_result_fails_a_compilation_unless_asked_otherwise() -> None:
    assert "Tags" not in COMPILATION.to_request(Places())
    lenient = COMPILATION.model_copy(update={"if_not_faster": "serve_original"}).to_request(Places())
    assert lenient["Tags"] == [{"Key": "compilation:if-not-faster", "Value": "serve_original"}]
    assert lenient["OutputConfig"] == COMPILATION.to_request(Places())["OutputConfig"]


def test_a_device_is_a_target_too() -> None:
    job = CompilationJob(
        model_uri="m", framework="XGBOOST", input_shapes={"data": (1, 3)}, output="o", target_device="ml_c5"
    )
    assert job.to_request(Places())["OutputConfig"] == {
        "S3OutputLocation": "s3://data/o",
        "TargetDevice": "ml_c5",
    }


@pytest.mark.parametrize(("max_payload_mb", "max_concurrent"), [(6, 17), (100, 2)])
def test_a_transform_keeps_within_what_may_be_under_way(max_payload_mb: int, max_concurrent: int) -> None:
    limits = {"max_payload_mb": max_payload_mb, "max_concurrent": max_concurrent}
    with pytest.raises(ValidationError, match=r"max_concurrent\n.*more than the 100 MB"):
        TransformJob.model_validate({**TRANSFORM.model_dump(), **limits})


@pytest.mark.parametrize(("max_payload_mb", "max_concurrent"), [(100, 1), (5, 20), (0, 50), (100, 0)])
def test_a_transform_may_use_all_that_may_be_under_way(max_payload_mb: int, max_concurrent: int) -> None:
    limits = {"max_payload_mb": max_payload_mb, "max_concurrent": max_concurrent}
    assert TransformJob.model_validate({**TRANSFORM.model_dump(), **limits}).max_concurrent == max_concurrent
