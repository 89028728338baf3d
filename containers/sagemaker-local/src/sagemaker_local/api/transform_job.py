"""Operations of batch transform jobs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.job import (
    create_job,
    get_job,
    list_jobs,
    stop_job,
    without,
)
from sagemaker_local.errors import ValidationException
from sagemaker_local.jobs.kinds import TRANSFORM
from sagemaker_local.names import arn
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.serving.transform_request import check_transform
from sagemaker_local.store import NotFound


def not_found(name: str) -> ValidationException:
    """AWS's answer for a name that does not exist."""
    return ValidationException(f"Could not find requested job with name: {name}")


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateTransformJob."""
    model = request["ModelName"]
    try:
        services.store.get("model", model)
    except NotFound as error:
        raise ValidationException(
            f'Could not find model "{arn(services.settings, "model", model)}".'
        ) from error
    check_transform(request)
    document = copy.deepcopy(without(request))
    document["TransformInput"].setdefault("SplitType", "None")
    document["TransformInput"].setdefault("CompressionType", "None")
    document["TransformOutput"].setdefault("AssembleWith", "None")
    return create_job(services, TRANSFORM, request, document)


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeTransformJob."""
    return get_job(services, TRANSFORM, request["TransformJobName"], not_found).document


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListTransformJobs."""
    return list_jobs(services, TRANSFORM, request, ("FailureReason",))


async def stop(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """StopTransformJob."""
    return stop_job(services, TRANSFORM, request["TransformJobName"], not_found)


OPERATIONS: Mapping[str, Handler] = {
    "CreateTransformJob": create,
    "DescribeTransformJob": describe,
    "ListTransformJobs": list_,
    "StopTransformJob": stop,
}
