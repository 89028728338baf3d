"""What job and container come to together."""

from __future__ import annotations

from typing import Any

import pytest

from sagemaker_local.serving.transform_request import TransformSettings

JOB: dict[str, Any] = {"TransformInput": {"SplitType": "Line"}, "TransformOutput": {"AssembleWith": "Line"}}


@pytest.mark.parametrize(
    ("asked", "container", "said"),
    [
        ({}, {}, "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"),
        ({}, {"MaxConcurrentTransforms": 8, "MaxPayloadInMB": 2, "BatchStrategy": "SINGLE_RECORD"},
         "MaxConcurrentTransforms=8, MaxPayloadInMB=2, BatchStrategy=SINGLE_RECORD"),
        ({"MaxConcurrentTransforms": 0}, {"MaxConcurrentTransforms": 4},
         "MaxConcurrentTransforms=4, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"),
        ({"MaxConcurrentTransforms": 2, "MaxPayloadInMB": 1}, {"MaxConcurrentTransforms": 8},
         "MaxConcurrentTransforms=2, MaxPayloadInMB=1, BatchStrategy=MULTI_RECORD"),
        ({}, {"MaxConcurrentTransforms": 50, "MaxPayloadInMB": 10},
         "MaxConcurrentTransforms=10, MaxPayloadInMB=10, BatchStrategy=MULTI_RECORD"),
    ],
)  # fmt: skip
def test_the_container_fills_what_the_job_leaves_open(
    asked: dict[str, Any], container: dict[str, Any], said: str
) -> None:
    assert TransformSettings.of(JOB | asked, container).said() == said
