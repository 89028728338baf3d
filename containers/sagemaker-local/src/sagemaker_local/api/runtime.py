"""SageMaker runtime: InvokeEndpoint and its sisters, from the caller's bytes to a container's bytes and back.

REST-JSON under the signing name ``sagemaker``; requests need no signature. Source:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Runtime.html
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sagemaker_local import limits
from sagemaker_local.api import runtime_async, runtime_stream
from sagemaker_local.errors import AwsError, InternalFailure, UnknownOperationException
from sagemaker_local.services import Services
from sagemaker_local.serving.invocation_errors import ModelError, ValidationError
from sagemaker_local.serving.invocation_request import Invocation

logger = logging.getLogger(__name__)

PATH = re.compile(r"/endpoints/(?P<name>[^/]+)/(?P<operation>(async-)?invocations(-response-stream)?)")
TO_CONTAINER = (
    "content-type",
    "accept",
    "x-amzn-sagemaker-custom-attributes",
    "x-amzn-sagemaker-inference-id",
    "x-amzn-sagemaker-session-id",
    "x-amzn-sagemaker-target-model",
    "x-amzn-sagemaker-target-container-hostname",
)
"""The caller's headers that a container gets."""
FROM_CONTAINER = (
    "content-type",
    "x-amzn-sagemaker-custom-attributes",
    "x-amzn-sagemaker-new-session-id",
    "x-amzn-sagemaker-closed-session-id",
)
"""The container's headers that the caller gets."""
UNSERVED_HEADERS = {
    "x-amzn-sagemaker-inference-component": "Endpoint {} has no inference components.",
    "x-amzn-sagemaker-enable-explanations": "Endpoint {} has no explainer.",
}
ASYNCHRONOUS = (
    "Endpoint {} of account {} is an asynchronous inference endpoint and does not support {}; "
    "use InvokeEndpointAsync."
)
DRAINED_BODY_BYTES = 64 * limits.MIB
"""A body over the limit is read so far, so that the caller sees the refusal and not a broken connection."""


def create_app(services: Services) -> ASGIApp:
    """The application that answers everything below ``/endpoints/``."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        try:
            response = await _answer(services, Request(scope, receive), request_id)
        except ClientDisconnect:
            return
        except AwsError as error:
            logger.info("invocation refused: %s: %s", error.code, error.message)
            response = _refusal(error)
        except Exception as error:  # a defect of ours is answered in AWS's shape
            logger.exception("invocation failed")
            response = _refusal(InternalFailure(f"The local SageMaker failed: {error!r}; see its log"))
        response.headers["x-amzn-requestid"] = request_id
        await response(scope, receive, send)

    return app


async def _answer(services: Services, request: Request, request_id: str) -> Response:
    match = PATH.fullmatch(request.url.path)
    if match is None or request.method != "POST":
        raise UnknownOperationException(f"The runtime has no {request.method} {request.url.path}")
    name = unquote(match["name"])
    for header, message in UNSERVED_HEADERS.items():
        if header in request.headers:
            raise ValidationError(message.format(name))
    return await OPERATIONS[match["operation"]](services, request, name, request_id)


async def invoke_endpoint(services: Services, request: Request, name: str, request_id: str) -> Response:
    """InvokeEndpoint."""
    invocation = await _invocation(services, request, name, request_id, "InvokeEndpoint")
    answer = await services.invoker.invoke(invocation)
    headers = _passed(answer.headers) | {"x-amzn-invoked-production-variant": invocation.variant}
    return Response(bytes(answer.body), headers=headers)


async def invoke_endpoint_async(
    services: Services, request: Request, name: str, _request_id: str
) -> Response:
    """InvokeEndpointAsync."""
    body = await _body(request, runtime_async.BODY_BYTES)
    return await runtime_async.invoke_endpoint_async(services, request, name, body)


async def invoke_endpoint_with_response_stream(
    services: Services, request: Request, name: str, request_id: str
) -> Response:
    """InvokeEndpointWithResponseStream."""
    invocation = await _invocation(services, request, name, request_id, "InvokeEndpointWithResponseStream")
    if (accept := request.headers.get("x-amzn-sagemaker-accept")) is not None:
        invocation.headers = {**invocation.headers, "accept": accept}
    return await runtime_stream.stream(services.invoker, invocation)


Operation = Callable[[Services, Request, str, str], Awaitable[Response]]
OPERATIONS: Mapping[str, Operation] = {
    "invocations": invoke_endpoint,
    "async-invocations": invoke_endpoint_async,
    "invocations-response-stream": invoke_endpoint_with_response_stream,
}
"""The last part of the path → what it does."""


async def _invocation(
    services: Services, request: Request, name: str, request_id: str, operation: str
) -> Invocation:
    """What the caller of a synchronous operation asks."""
    headers = {header: request.headers[header] for header in TO_CONTAINER if header in request.headers}
    wanted = request.headers.get("x-amzn-sagemaker-target-variant")
    invocation = Invocation(name, headers, b"", request_id, wanted)
    invocation.body = await _body(request, limits.INVOKE_BODY_BYTES)
    if services.invoker.fleet(name).plan.asynchronous is not None:
        raise ValidationError(ASYNCHRONOUS.format(name, services.settings.account, operation))
    return invocation


async def _body(request: Request, maximum_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= maximum_bytes:
            parts.append(part)
        elif size > DRAINED_BODY_BYTES:
            break
    if size > maximum_bytes:
        raise ValidationError(
            "1 validation error detected: Value at 'body' failed to satisfy constraint: "
            f"Member must have length less than or equal to {maximum_bytes}"
        )
    return b"".join(parts)


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {header: headers[header] for header in FROM_CONTAINER if header in headers}


def _refusal(error: AwsError) -> Response:
    fields = error.fields if isinstance(error, ModelError) else {}
    return Response(
        json.dumps({"Message": error.message, **fields}),
        status_code=error.status_code,
        media_type="application/json",
        headers={"x-amzn-errortype": error.code},
    )
