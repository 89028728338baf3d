"""A server for pipelines, their steps as dictionaries, and the calls that every test of them makes."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import LocalServer

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
IMAGES = Path(__file__).parent / "images"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DEADLINE_S = 600.0
EVALUATE = (
    "import json, os, pathlib, sys; base = os.environ.get('SAGEMAKER_BASE_DIR', '/opt/ml'); "
    "pathlib.Path(base, 'processing/out/evaluation.json').write_text("
    "json.dumps({'accuracy': {'value': float(sys.argv[1])}}))"
)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """One server for the tests that do not kill it."""
    running = LocalServer(tmp_path_factory.mktemp("pipelines") / "data", IMAGES, "--jobs", "2").start()
    running.client("s3").create_bucket(Bucket="bucket")
    running.client("s3").put_object(Bucket="bucket", Key="batch/a.csv", Body=b"1,2\n")
    yield running
    running.stop()


def get(path: str) -> dict[str, str]:
    return {"Get": path}


def process(name: str, value: Any, **more: Any) -> dict[str, Any]:
    """A step that writes the accuracy that it is told."""
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "RoleArn": ROLE,
            "AppSpecification": {
                "ImageUri": f"{REGISTRY}/echo:1",
                "ContainerEntrypoint": ["python", "-c", EVALUATE],
                "ContainerArguments": [value],
            },
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": "report",
                        "S3Output": {
                            "S3Uri": f"s3://bucket/{name}",
                            "LocalPath": "/opt/ml/processing/out",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                ]
            },
        },
        "PropertyFiles": [
            {"PropertyFileName": "evaluation", "OutputName": "report", "FilePath": "evaluation.json"}
        ],
        **more,
    }


def train(name: str, hyperparameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {"TrainingImage": f"{REGISTRY}/echo:1", "TrainingInputMode": "File"},
            "HyperParameters": hyperparameters,
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        },
        **more,
    }


def condition(conditions: list[Any], if_steps: list[Any], else_steps: list[Any]) -> dict[str, Any]:
    arguments = {"Conditions": conditions, "IfSteps": if_steps, "ElseSteps": else_steps}
    return {"Name": "Check", "Type": "Condition", "Arguments": arguments}


def create(sagemaker: Any, steps: list[Any], parameters: list[Any] = []) -> str:  # noqa: B006 - read only
    name = f"pipeline-{uuid.uuid4().hex[:12]}"
    definition = {"Version": "2020-12-01", "Metadata": {}, "Parameters": parameters, "Steps": steps}
    sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition), RoleArn=ROLE)
    return name


def run(sagemaker: Any, name: str, **more: Any) -> str:
    return str(sagemaker.start_pipeline_execution(PipelineName=name, **more)["PipelineExecutionArn"])


def until(sagemaker: Any, arn: str, wanted: Callable[[Any, Any], bool]) -> tuple[Any, dict[str, Any]]:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        steps = {step["StepName"]: step for step in listed}
        if wanted(found, steps):
            return found, steps
        assert time.monotonic() < deadline, (found, steps)
        time.sleep(0.2)


def reasons(steps: dict[str, Any]) -> dict[str, Any]:
    return {name: (step["StepStatus"], step.get("FailureReason")) for name, step in steps.items()}


def ended(sagemaker: Any, arn: str) -> tuple[str, dict[str, Any]]:
    over = ("Succeeded", "Failed", "Stopped")
    found, steps = until(sagemaker, arn, lambda found, _: found["PipelineExecutionStatus"] in over)
    return str(found["PipelineExecutionStatus"]), steps
