"""SageMaker Metrics: BatchPutMetrics and BatchGetMetrics of trial components, REST-JSON.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Metrics_Service.html
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sagemaker_local import limits, wire
from sagemaker_local.cloudwatch.trial_metrics import POINTS_PER_QUERY, TrialMetric
from sagemaker_local.cloudwatch.wire_formats import plain
from sagemaker_local.errors import AwsError, SerializationException
from sagemaker_local.protocol import failure, service_model
from sagemaker_local.services import Services
from sagemaker_local.validation import validate

logger = logging.getLogger(__name__)

PATHS = {("PUT", "/BatchPutMetrics"): "BatchPutMetrics", ("POST", "/BatchGetMetrics"): "BatchGetMetrics"}
COMPONENT_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[^:]*:\d{12}:experiment-trial-component/(?P<name>.+)")


def wanted(request: Request) -> bool:
    """Whether a request is for this service; no bucket can have such names."""
    return (request.method, request.url.path) in PATHS


def batch_put_metrics(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """BatchPutMetrics: what is no number is told in Errors, the rest is kept."""
    errors = []
    taken = []
    for index, metric in enumerate(request["MetricData"]):
        if math.isfinite(metric["Value"]):
            taken.append(
                TrialMetric(metric["MetricName"], metric["Timestamp"], metric.get("Step"), metric["Value"])
            )
        else:
            errors.append({"Code": "VALIDATION_ERROR", "MetricIndex": index})
    services.trial_metrics.add(request["TrialComponentName"].lower(), taken)
    return {"Errors": errors} if errors else {}


def batch_get_metrics(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """BatchGetMetrics: each query has a status of its own."""
    return {"MetricQueryResults": [_answer(services, query) for query in request["MetricQueries"]]}


def _answer(services: Services, query: Mapping[str, Any]) -> dict[str, Any]:
    by_step = query["Period"] == "IterationNumber"
    if by_step != (query["XAxisType"] == "IterationNumber"):
        return _refused("Period and XAxisType must both be IterationNumber, or neither")
    match = COMPONENT_ARN.fullmatch(query["ResourceArn"])
    if match is None:
        return _refused("The local SageMaker serves metrics of trial components only")
    points = services.trial_metrics.query(
        match["name"].lower(),
        query["MetricName"],
        statistic=query["MetricStat"],
        period=query["Period"],
        start=query.get("Start"),
        end=query.get("End"),
    )
    kept = points[:POINTS_PER_QUERY]
    return {
        "Status": "Complete" if len(kept) == len(points) else "Truncated",
        "XAxisValues": [x for x, _ in kept],
        "MetricValues": [value for _, value in kept],
    }


def _refused(message: str) -> dict[str, Any]:
    return {"Status": "ValidationError", "Message": message, "XAxisValues": [], "MetricValues": []}


OPERATIONS: Mapping[str, Callable[[Services, dict[str, Any]], dict[str, Any]]] = {
    "BatchPutMetrics": batch_put_metrics,
    "BatchGetMetrics": batch_get_metrics,
}


def create_app(services: Services) -> ASGIApp:
    """The application that answers both operations."""
    model = service_model("sagemaker-metrics")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        operation = PATHS[request.method, request.url.path]
        try:
            shape = model.operation_model(operation).input_shape
            parsed = plain(shape, await _parse(request))
            validate(shape, parsed)
            result = await asyncio.to_thread(OPERATIONS[operation], services, parsed)
            response = _response(200, result)
        except wire.Disconnected:
            return
        except AwsError as error:
            response = _refusal(error)
        except Exception as error:  # a defect of ours is answered in AWS's shape
            logger.exception("%s failed", operation)
            response = _refusal(failure(operation, error))
        await response(scope, receive, send)

    return app


async def _parse(request: Request) -> dict[str, Any]:
    try:
        body = await wire.read_body(request.receive, limits.JSON_BODY_BYTES)
    except wire.BodyTooLarge as error:
        raise SerializationException(f"The request is too large: {error}") from error
    try:
        parsed = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise SerializationException(f"The body is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise SerializationException(f"The body must be a JSON object, not {type(parsed).__name__}")
    return parsed


def _refusal(error: AwsError) -> Response:
    response = _response(error.status_code, {"message": error.message})
    response.headers["x-amzn-errortype"] = error.code
    return response


def _response(status: int, content: dict[str, Any]) -> Response:
    headers = {"x-amzn-requestid": str(uuid.uuid4())}
    return Response(json.dumps(content), status, headers, "application/json")
