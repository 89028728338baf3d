"""AWS's API model as a gate: every part of it that a request can miss."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from airflow_sagemaker.errors import RequestRejectedError
from airflow_sagemaker.hooks.request_validation import _compiled, problems, require_valid, service_model

ROLE = "arn:aws:iam::123456789012:role/sagemaker"


def training(**changes: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": "job",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **changes,
    }


def test_a_right_request_has_no_problems() -> None:
    assert problems("CreateTrainingJob", training(HyperParameters={"a": "1"})) == []
    require_valid("CreateTrainingJob", training())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"RoleArn": None}, "RoleArn"),
        ({"Roles": []}, 'Unknown parameter in input: "Roles"'),
        ({"TrainingJobName": "under_score"}, "TrainingJobName: 'under_score' does not match [a-zA-Z0-9]"),
        ({"TrainingJobName": "a" * 64}, "TrainingJobName: 64 characters are more than 63"),
        ({"RoleArn": "sagemaker"}, "RoleArn"),
        (
            {"ResourceConfig": {"VolumeSizeInGB": 1, "KeepAlivePeriodInSeconds": 21601}},
            "ResourceConfig.KeepAlivePeriodInSeconds: 21601 is more than 21600",
        ),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "MaxRuntimeInSeconds, value: 0, valid min"),
        (
            {"AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "Files"}},
            "AlgorithmSpecification.TrainingInputMode: 'Files' is none of Pipe, File, FastFile",
        ),
        (
            {"ResourceConfig": {"InstanceType": "ml.m5.lagre", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            "ml.m5.large",
        ),
        ({"HyperParameters": {"a" * 257: "x"}}, "257 characters"),
        ({"HyperParameters": {str(n): "x" for n in range(101)}}, "101 entries are more than 100"),
        ({"Tags": [{"Key": str(n), "Value": ""} for n in range(51)]}, "Tags: 51 entries are more than 50"),
        ({"Environment": {"with-dash": "x"}}, "Environment, key 'with-dash': 'with-dash' does not match"),
    ],
)
def test_a_wrong_request_is_refused_and_the_field_is_named(changes: dict[str, Any], said: str) -> None:
    request = {key: value for key, value in training(**changes).items() if value is not None}
    with pytest.raises(RequestRejectedError, match=re.escape(said)) as raised:
        require_valid("CreateTrainingJob", request)
    assert str(raised.value).startswith("CreateTrainingJob: ")


def test_every_problem_is_said_at_once() -> None:
    request = training(TrainingJobName="_", RoleArn="x")
    assert len(problems("CreateTrainingJob", request)) >= 2


def test_the_name_of_a_tuning_job_is_shorter() -> None:
    said = problems("CreateHyperParameterTuningJob", {"HyperParameterTuningJobName": "a" * 33})
    assert any("33 characters are more than 32" in problem for problem in said)


def test_few_patterns_are_left_to_the_service() -> None:
    """Java's character classes, mostly of tags, are beyond Python's ``re``."""
    model = service_model()
    patterns = {
        shape.metadata["pattern"]
        for shape in map(model.shape_for, model.shape_names)
        if "pattern" in shape.metadata
    }
    unread = [pattern for pattern in patterns if _compiled(pattern) is None]
    assert len(unread) * 20 < len(patterns)


def test_validation_needs_neither_a_client_nor_a_connection() -> None:
    import subprocess

    program = (
        "import sys, airflow_sagemaker.hooks.request_validation as v\n"
        "assert v.problems('CreateModelPackageGroup', {'ModelPackageGroupName': '_'})\n"
        "print(sorted({'boto3', 'airflow.providers', 'sagemaker'} & set(sys.modules)))"
    )
    plugins = next(path for path in sys.path if path.endswith("plugins"))
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": plugins},
    )
    assert done.stdout.splitlines()[-1] == "[]"
