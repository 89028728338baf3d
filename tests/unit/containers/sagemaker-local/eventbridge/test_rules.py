"""What of an event a target gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sagemaker_local.eventbridge.rules import content
from sagemaker_local.eventbridge.state_changes import upper_snake

EVENT = {
    "time": "2026-11-20T22:00:00Z",
    "source": "aws.sagemaker",
    "detail": {"Name": "a", "Tags": {"team": "b"}},
}


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ({}, EVENT),
        ({"Input": '{"always": 1}'}, {"always": 1}),
        ({"InputPath": "$.detail.Tags"}, {"team": "b"}),
        ({"InputPath": "$.detail.Name.first"}, None),
        ({"InputPath": "$"}, EVENT),
        (
            {"InputTransformer": {"InputPathsMap": {"n": "$.detail.Name"}, "InputTemplate": '"job <n>"'}},
            "job a",
        ),
    ],
)
def test_a_target_gets_the_event_or_what_it_wants_of_it(target: dict[str, Any], told: object) -> None:
    assert json.loads(content({"Arn": "arn:aws:sqs:us-east-1:123456789012:q", **target}, EVENT)) == told


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("InService", "IN_SERVICE"),
        ("Creating", "CREATING"),
        ("UpdateRollbackFailed", "UPDATE_ROLLBACK_FAILED"),
    ],
)
def test_statuses_of_endpoints(status: str, told: str) -> None:
    assert upper_snake(status) == told
