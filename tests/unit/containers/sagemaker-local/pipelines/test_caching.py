"""Durations, what a result may stand for, and when a step is tried again."""

from __future__ import annotations

import pytest
from botocore.model import StructureShape

from sagemaker_local.errors import InternalFailure, ResourceLimitExceeded, ValidationException
from sagemaker_local.pipelines.caching import cache_key, read_duration_s
from sagemaker_local.pipelines.requests import shaped
from sagemaker_local.pipelines.retries import exception_type, failure_type, pause_s
from sagemaker_local.protocol import service_model

POLICY = {
    "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"],
    "IntervalSeconds": 2,
    "BackoffRate": 3.0,
    "MaxAttempts": 2,
}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("P30D", 30 * 86400),
        ("p4dt12h", 4 * 86400 + 12 * 3600),
        ("T12H", 43200),
        ("PT5M", 300),
        ("P1W", 604800),
        ("PT1M30S", 90),
        ("P1M", 30 * 86400),
    ],
)
def test_durations(text, seconds):
    assert read_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "30", "1H30"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="ISO 8601"):
        read_duration_s(text)


def test_a_result_stands_for_the_same_arguments_only():
    key = cache_key("Train", "Training", {"a": 1, "b": 2})
    assert key == cache_key("Train", "Training", {"b": 2, "a": 1, "Tags": [1], "ExperimentConfig": {}})
    assert key != cache_key("Train", "Training", {"a": 1, "b": 3})
    assert key != cache_key("Other", "Training", {"a": 1, "b": 2})


def test_pauses_grow_and_attempts_end():
    kind = "SageMaker.JOB_INTERNAL_ERROR"
    assert [pause_s([POLICY], kind, attempts, 0) for attempts in (1, 2, 3)] == [2.0, 6.0, None]
    assert pause_s([POLICY], "SageMaker.CAPACITY_ERROR", 1, 0) is None
    assert pause_s([POLICY], None, 1, 0) is None
    limited = {**POLICY, "ExpireAfterMin": 1}
    del limited["MaxAttempts"]
    assert pause_s([limited], kind, 1, 57.9) == 2.0
    assert pause_s([limited], kind, 1, 58.1) is None


def test_failures_are_called_as_policies_call_them():
    assert failure_type("InternalServerError: x") == "SageMaker.JOB_INTERNAL_ERROR"
    assert failure_type("CapacityError: Unable to provision") == "SageMaker.CAPACITY_ERROR"
    assert failure_type("AlgorithmError: x") is None
    assert exception_type(ResourceLimitExceeded("x")) == "SageMaker.RESOURCE_LIMIT"
    assert exception_type(InternalFailure("x")) == "Step.SERVICE_FAULT"
    assert exception_type(ValidationException("x")) is None


def test_arguments_become_what_the_request_wants():
    shape = service_model("sagemaker").operation_model("CreateTrainingJob").input_shape
    assert isinstance(shape, StructureShape)
    given = {
        "HyperParameters": {"depth": 3, "on": True, "rate": 0.5},
        "ResourceConfig": {"InstanceCount": 1, "VolumeKmsKeyId": None},
        "Environment": None,
        "Unknown": 1,
    }
    assert shaped(shape, given) == {
        "HyperParameters": {"depth": "3", "on": "true", "rate": "0.5"},
        "ResourceConfig": {"InstanceCount": 1},
        "Unknown": 1,
    }
