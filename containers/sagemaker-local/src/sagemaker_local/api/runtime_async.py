"""InvokeEndpointAsync: accept a request, say where its outcome will be.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

from botocore.model import StructureShape
from starlette.requests import Request
from starlette.responses import Response

from sagemaker_local.errors import AwsError
from sagemaker_local.protocol import service_model
from sagemaker_local.services import Services
from sagemaker_local.serving.asynchronous_queue import AsynchronousRequest
from sagemaker_local.serving.invocation_errors import ValidationError
from sagemaker_local.validation import validate

TTL_DEFAULT_S = 21_600
TIMEOUT_DEFAULT_S = 900
BODY_BYTES = 128_000
TO_CONTAINER = {
    "ContentType": "content-type",
    "Accept": "accept",
    "CustomAttributes": "x-amzn-sagemaker-custom-attributes",
    "InferenceId": "x-amzn-sagemaker-inference-id",
}
"""Parameter → header that the container gets."""


async def invoke_endpoint_async(services: Services, request: Request, name: str, body: bytes) -> Response:
    """InvokeEndpointAsync; it is durable when this returns.

    Raises:
        ValidationError: the request is none, or the endpoint is not asynchronous.
    """
    given = _parameters(request, name)
    fleet = services.invoker.fleet(name)
    if fleet.plan.asynchronous is None:
        raise ValidationError(
            f"Endpoint {name} of account {services.settings.account} is not an asynchronous inference "
            "endpoint and does not support InvokeEndpointAsync; use InvokeEndpoint."
        )
    if ("InputLocation" in given) == bool(body):
        raise ValidationError("Provide exactly one of InputLocation and Body.")
    given.setdefault("InferenceId", str(uuid.uuid4()))
    outputs = fleet.plan.asynchronous["OutputConfig"]
    file = str(uuid.uuid4())
    accepted = AsynchronousRequest(
        inference_id=given["InferenceId"],
        output=_location(
            outputs["S3OutputPath"], given.get("S3OutputPathExtension"), given.get("Filename", f"{file}.out")
        ),
        failure=_location(outputs["S3FailurePath"], None, f"{file}-error.out")
        if "S3FailurePath" in outputs
        else None,
        received_s=time.time(),
        ttl_s=given.get("RequestTTLSeconds", TTL_DEFAULT_S),
        timeout_s=given.get("InvocationTimeoutSeconds", TIMEOUT_DEFAULT_S),
        input_location=given.get("InputLocation"),
        headers={header: given[field] for field, header in TO_CONTAINER.items() if field in given},
    )
    created = services.store.get("endpoint", name).document["CreationTime"]
    await asyncio.to_thread(services.asynchronous.queue.add, name, created, accepted, body or None)
    services.asynchronous.wake()
    headers = {"x-amzn-sagemaker-outputlocation": accepted.output}
    if accepted.failure:
        headers["x-amzn-sagemaker-failurelocation"] = accepted.failure
    answer = json.dumps({"InferenceId": accepted.inference_id})
    return Response(answer, status_code=202, headers=headers, media_type="application/json")


def _parameters(request: Request, name: str) -> dict[str, Any]:
    """The request's parameters by their names in the service model, checked against it.

    Raises:
        ValidationError: one is not as the model says.
    """
    shape = service_model("sagemaker-runtime").operation_model("InvokeEndpointAsync").input_shape
    assert isinstance(shape, StructureShape)
    given: dict[str, Any] = {"EndpointName": name}
    for field, member in shape.members.items():
        header = str(member.serialization.get("name", ""))
        if member.serialization.get("location") != "header" or header not in request.headers:
            continue
        value = request.headers[header]
        if member.type_name == "integer":
            if not value.removeprefix("-").isdecimal():
                raise ValidationError(f"{field} must be an integer, not '{value}'.")
            given[field] = int(value)
        else:
            given[field] = value
    try:
        validate(shape, given)
    except AwsError as error:
        raise ValidationError(error.message) from error
    return given


def _location(path: str, extension: str | None, file: str) -> str:
    parts = [path.rstrip("/"), (extension or "").strip("/"), file]
    return "/".join(part for part in parts if part)
