"""One captured invocation as Model Monitor reads it: a line of JSON.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-violations.html
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

MODES: Mapping[str, tuple[str, ...]] = {
    "Input": ("endpointInput",),
    "Output": ("endpointOutput",),
    "InputAndOutput": ("endpointInput", "endpointOutput"),
}
"""CaptureMode → what it captures."""

CONTENT_TYPES: Mapping[str, str] = {"CsvContentTypes": "CSV", "JsonContentTypes": "JSON"}
"""Field of CaptureContentTypeHeader → encoding; everything else is base64."""

INFERENCE_ID = "x-amzn-sagemaker-inference-id"
CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
EVENT_VERSION = "0"


def capture_line(
    config: Mapping[str, Any],
    asked: Mapping[str, str],
    body: bytes,
    answered: Mapping[str, str],
    answer: bytes,
    at_s: float,
) -> bytes:
    """The line of an invocation, with its line end.

    Args:
        config: The endpoint config's DataCaptureConfig.
        asked: Headers of the request, by lower-case name.
        body: Its payload.
        answered: Headers of the answer.
        answer: Its payload.
        at_s: When it was answered, in seconds since the epoch.
    """
    wanted = {part for option in config["CaptureOptions"] for part in MODES[option["CaptureMode"]]}
    payloads = {
        "endpointInput": ("INPUT", asked.get("content-type"), body),
        "endpointOutput": ("OUTPUT", answered.get("content-type"), answer),
    }
    types = config.get("CaptureContentTypeHeader", {})
    captured = {part: _payload(types, *payload) for part, payload in payloads.items() if part in wanted}
    event: dict[str, Any] = {"eventId": str(uuid.uuid4())}
    if INFERENCE_ID in asked:
        event["inferenceId"] = asked[INFERENCE_ID]
    if CUSTOM_ATTRIBUTES in answered:
        event["customAttributes"] = [answered[CUSTOM_ATTRIBUTES]]
    event["inferenceTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
    line = {"captureData": captured, "eventMetadata": event, "eventVersion": EVENT_VERSION}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _payload(
    types: Mapping[str, list[str]], mode: str, content_type: str | None, payload: bytes
) -> dict[str, str]:
    data, encoding = _encoded(types, content_type, payload)
    observed = {"observedContentType": content_type} if content_type else {}
    return {**observed, "mode": mode, "data": data, "encoding": encoding}


def _encoded(types: Mapping[str, list[str]], content_type: str | None, payload: bytes) -> tuple[str, str]:
    plain = (content_type or "").partition(";")[0].strip().lower()
    for field, encoding in CONTENT_TYPES.items():
        if plain and plain in (each.lower() for each in types.get(field, ())):
            try:
                return payload.decode(), encoding
            except UnicodeDecodeError:  # not what it says it is
                break
    return base64.b64encode(payload).decode(), "BASE64"
