"""SageMaker runtime: InvokeEndpoint, from the caller's bytes to a container's bytes and back.

REST-JSON under the signing name ``sagemaker``; requests need no signature. Source:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from typing import Any
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sagemaker_local import limits
from sagemaker_local.errors import AwsError, UnknownOperationException
from sagemaker_local.services import Services
from sagemaker_local.serving.fleet import LOG_GROUP
from sagemaker_local.serving.http import Answer, ConnectionLost, NotListening
from sagemaker_local.serving.router import Variant
from sagemaker_local.store import NotFound

logger = logging.getLogger(__name__)

PATH = re.compile(r"/endpoints/(?P<name>[^/]+)/(?P<operation>(async-)?invocations(-response-stream)?)")
UNSERVED_OPERATIONS = {
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}
TO_CONTAINER = (
    "content-type",
    "accept",
    "x-amzn-sagemaker-custom-attributes",
    "x-amzn-sagemaker-inference-id",
    "x-amzn-sagemaker-session-id",
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
    "x-amzn-sagemaker-target-model": (
        "Endpoint {} is not a multi-model endpoint and does not support target model header."
    ),
    "x-amzn-sagemaker-target-container-hostname": (
        "Endpoint {} is not a multi-container endpoint and does not support target container header."
    ),
    "x-amzn-sagemaker-inference-component": "Endpoint {} has no inference components.",
    "x-amzn-sagemaker-enable-explanations": "Endpoint {} has no explainer.",
}
RESTART_WAIT_S = 5.0
"""A request waits so long for a container that is being started again."""
DRAINED_BODY_BYTES = 64 * limits.MIB
"""A body over the limit is read so far, so that the caller sees the refusal and not a broken connection."""
ORIGINAL_MESSAGE_BYTES = 64 * 1024


class ValidationError(AwsError):
    """The runtime's name for a bad request."""

    code = "ValidationError"


class ServiceUnavailable(AwsError):
    """No container can take the request now; clients try again."""

    code = "ServiceUnavailable"
    status_code = 503


class LostRequest(AwsError):
    """The container went away with the request; clients try again."""

    code = "InternalFailure"
    status_code = 500


class ModelError(AwsError):
    """The container answered with an error, or not in time."""

    code = "ModelError"
    status_code = 424

    def __init__(self, message: str, fields: dict[str, Any]) -> None:
        super().__init__(message)
        self.fields = fields


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
        response.headers["x-amzn-requestid"] = request_id
        await response(scope, receive, send)

    return app


async def _answer(services: Services, request: Request, request_id: str) -> Response:
    match = PATH.fullmatch(request.url.path)
    if match is None or request.method != "POST":
        raise UnknownOperationException(f"The runtime has no {request.method} {request.url.path}")
    if operation := UNSERVED_OPERATIONS.get(match["operation"]):
        raise UnknownOperationException(f"The local SageMaker does not implement {operation}")
    name = unquote(match["name"])
    for header, message in UNSERVED_HEADERS.items():
        if header in request.headers:
            raise ValidationError(message.format(name))
    body = await _body(request)
    wanted = request.headers.get("x-amzn-sagemaker-target-variant")
    headers = {header: request.headers[header] for header in TO_CONTAINER if header in request.headers}
    variant, answer = await _invoke(services, name, wanted, headers, body, request_id)
    passed = {header: answer.headers[header] for header in FROM_CONTAINER if header in answer.headers}
    passed["x-amzn-invoked-production-variant"] = variant
    return Response(bytes(answer.body), headers=passed)


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= limits.INVOKE_BODY_BYTES:
            parts.append(part)
        elif size > DRAINED_BODY_BYTES:
            break
    if size > limits.INVOKE_BODY_BYTES:
        raise ValidationError(
            "1 validation error detected: Value at 'body' failed to satisfy constraint: "
            f"Member must have length less than or equal to {limits.INVOKE_BODY_BYTES}"
        )
    return b"".join(parts)


def _variant(services: Services, name: str, wanted: str | None) -> Variant:
    traffic = services.endpoints.traffic(name)
    account = services.settings.account
    if traffic is None:
        try:
            status = services.store.get("endpoint", name).document["EndpointStatus"]
        except NotFound:
            raise ValidationError(f"Endpoint {name} of account {account} not found.") from None
        if status == "SystemUpdating":
            raise ServiceUnavailable(
                f"Endpoint {name} is coming back after a restart of the local SageMaker."
            )
        raise ValidationError(
            f"Endpoint {name} of account {account} is {status}; it takes requests when it is InService."
        )
    try:
        return traffic.variant(wanted)
    except KeyError:
        raise ValidationError(
            f"Variant {wanted} not found for endpoint {name} of account {account}."
        ) from None


async def _invoke(
    services: Services, name: str, wanted: str | None, headers: dict[str, str], body: bytes, request_id: str
) -> tuple[str, Answer]:
    """The variant's name and its container's answer; sent again only while no container has taken it.

    Raises:
        AwsError: as the runtime words it.
    """
    started = time.monotonic()
    while True:
        variant = _variant(services, name, wanted)  # again each time: an update may have switched fleets
        server = variant.pick()
        try:
            if not server.ready and not await server.wait_ready(RESTART_WAIT_S):
                raise ServiceUnavailable(
                    f"Endpoint {name}: no container of variant {variant.name} is healthy."
                )
            answer = await server.request(
                "POST", "/invocations", headers, body, timeout_s=limits.INVOKE_TIMEOUT_S
            )
        except NotListening as error:
            server.suspect()
            if time.monotonic() - started > RESTART_WAIT_S:
                raise ServiceUnavailable(f"Endpoint {name}: {error}.") from error
            await asyncio.sleep(0)
            continue
        except ConnectionLost as error:
            raise LostRequest(
                "An exception occurred while sending request to model. "
                f"Please contact customer support regarding request {request_id}. ({error})"
            ) from error
        except TimeoutError as error:
            raise _model_error(
                services,
                name,
                0,
                "Your invocation timed out while waiting for a response from container primary. Review the "
                "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again.",
            ) from error
        if answer.status >= 300:
            message = bytes(answer.body[:ORIGINAL_MESSAGE_BYTES]).decode("utf-8", "replace")
            raise _model_error(services, name, answer.status, message)
        return variant.name, answer


def _model_error(services: Services, name: str, status: int, original: str) -> ModelError:
    settings, group = services.settings, LOG_GROUP.format(name)
    blame = "client" if 400 <= status < 500 else "server"
    return ModelError(
        f'Received {blame} error ({status}) from primary with message "{original}". See '
        f"https://{settings.region}.console.aws.amazon.com/cloudwatch/home?region={settings.region}"
        f"#logEventViewer:group={group} in account {settings.account} for more information.",
        {
            "OriginalStatusCode": status,
            "OriginalMessage": original,
            "LogStreamArn": f"arn:aws:logs:{settings.region}:{settings.account}:log-group:{group}",
        },
    )


def _refusal(error: AwsError) -> Response:
    fields = error.fields if isinstance(error, ModelError) else {}
    return Response(
        json.dumps({"Message": error.message, **fields}),
        status_code=error.status_code,
        media_type="application/json",
        headers={"x-amzn-errortype": error.code},
    )
