"""What SNS is told when an asynchronous invocation is over.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from sagemaker_local.serving.asynchronous_queue import Entry

INCLUDED_RESPONSE_BYTES = 128 * 1024
INCLUDED_MESSAGE = "Check S3 path location(if configured) or Cloudwatch for additional details."
TOPICS: Mapping[bool, tuple[str, str]] = {
    True: ("SuccessTopic", "SUCCESS_NOTIFICATION_TOPIC"),
    False: ("ErrorTopic", "ERROR_NOTIFICATION_TOPIC"),
}
"""Whether it succeeded → NotificationConfig's field, and its word for it in IncludeInferenceResponseIn."""


def notification(
    config: Mapping[str, Any],
    region: str,
    entry: Entry,
    *,
    reason: str | None,
    content_type: str | None,
    response: bytes,
) -> dict[str, Any]:
    """Topic and message of an outcome; empty when nobody is to be told.

    Args:
        config: The endpoint config's AsyncInferenceConfig.
        region: Where the endpoint is.
        entry: The request.
        reason: Why it failed, or None.
        content_type: Of the response.
        response: The container's answer, an error's too.
    """
    topics = config["OutputConfig"].get("NotificationConfig", {})
    field, included = TOPICS[reason is None]
    if field not in topics:
        return {}
    request = entry.request
    asked = {
        "accept": request.headers.get("accept"),
        "contentType": request.headers.get("content-type"),
        "endpointName": entry.endpoint,
        "inputLocation": request.input_location,
    }
    answered = {
        "contentType": content_type,
        "outputLocation": request.output if reason is None else request.failure,
    }
    message: dict[str, Any] = {
        "awsRegion": region,
        "eventTime": _time(time.time()),
        "receivedTime": _time(request.received_s),
        "invocationStatus": "Completed" if reason is None else "Failed",
        "failureReason": reason,
        "requestParameters": _set(asked),
        "responseParameters": _set(answered) if answered["outputLocation"] else None,
        "inferenceId": request.inference_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    if included in topics.get("IncludeInferenceResponseIn", []) and len(response) <= INCLUDED_RESPONSE_BYTES:
        message["responseBody"] = {
            "content": base64.b64encode(response).decode(),
            "message": INCLUDED_MESSAGE,
            "encoding": "BASE64",
        }
    return {"topic": topics[field], "message": json.dumps(_set(message))}


def _set(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _time(at_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_s)) + f".{int(at_s * 1000) % 1000:03d}Z"
