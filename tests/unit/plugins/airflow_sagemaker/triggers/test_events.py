"""Messages as EventBridge puts them on a queue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sagemaker.triggers.events import Event, event_of


def message(detail_type: Any = "SageMaker Training Job State Change", **changes: Any) -> str:
    # The example of the developer guide, shortened.
    body = {
        "version": "0",
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "detail-type": detail_type,
        "source": "aws.sagemaker",
        "region": "us-east-1",
        "detail": {"TrainingJobName": "89c96cc8", "TrainingJobStatus": "Failed"},
        **changes,
    }
    return json.dumps(body)


@pytest.mark.parametrize(
    ("detail_type", "field", "operation"),
    [
        ("SageMaker Training Job State Change", "TrainingJobName", "training_job"),
        ("SageMaker Processing Job State Change", "ProcessingJobName", "processing_job"),
        ("SageMaker Transform Job State Change", "TransformJobName", "transform_job"),
        (
            "SageMaker HyperParameter Tuning Job State Change",
            "HyperParameterTuningJobName",
            "hyper_parameter_tuning_job",
        ),
        ("SageMaker Endpoint State Change", "EndpointName", "endpoint"),
    ],
)
def test_each_kind_says_which_job_it_is_about(detail_type: str, field: str, operation: str) -> None:
    event = event_of(message(detail_type, detail={field: "it"}))
    assert event == Event("844e2571-85d4-695f-b930-0153b71dcb42", operation, "it")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        "[]",
        "null",
        '"text"',
        message("SageMaker Model Package State Change"),
        message(detail={}),
        message(detail=None),
        message(detail=[]),
        message(["a list"]),
    ],
)
def test_anything_else_is_no_event(body: str) -> None:
    assert event_of(body) is None
