"""CloudWatch's front door: one application for its three protocols."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import uuid
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import OperationNotFoundError, ServiceModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sagemaker_local import limits, wire
from sagemaker_local.cloudwatch.queries import InvalidParameterValue
from sagemaker_local.cloudwatch.wire_formats import CBOR_PATH, JsonFormat, WireFormat, wire_format
from sagemaker_local.errors import (
    AwsError,
    SerializationException,
    UnknownOperationException,
    ValidationException,
)
from sagemaker_local.protocol import failure, service_model
from sagemaker_local.services import Services
from sagemaker_local.validation import validate

logger = logging.getLogger(__name__)

TARGET = "GraniteServiceVersion20100801"
SIGNING_NAME = "monitoring"

Operation = Callable[[Services, dict[str, Any]], dict[str, Any]]
"""One operation; runs in a thread, as all of them read or write the disk."""


def wanted(request: Request, signing_name: str | None) -> bool:
    """Whether a request is for CloudWatch."""
    if CBOR_PATH.fullmatch(request.url.path):
        return True
    target = request.headers.get("x-amz-target")
    return target.startswith(f"{TARGET}.") if target else signing_name == SIGNING_NAME


def create_app(services: Services, operations: Mapping[str, Operation]) -> ASGIApp:
    """The application that answers CloudWatch's requests."""
    model = service_model("cloudwatch")
    for name in operations:
        model.operation_model(name)  # a misspelt name must not wait for its first caller

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        form: WireFormat = JsonFormat("")
        try:
            request = Request(scope, receive)
            body = await _body(request)
            form = wire_format(request.url.path, request.url.query, request.headers, body)
            response = await _answer(services, model, operations, form, body, request_id)
        except wire.Disconnected:
            return
        except AwsError as error:
            logger.info("CloudWatch %s refused: %s: %s", form.operation, error.code, error.message)
            response = _refusal(form, error, request_id)
        except Exception as error:  # a defect of ours is answered in AWS's shape
            logger.exception("CloudWatch %s failed", form.operation)
            response = _refusal(form, failure(form.operation, error), request_id)
        await response(scope, receive, send)

    return app


async def _answer(
    services: Services,
    model: ServiceModel,
    operations: Mapping[str, Operation],
    form: WireFormat,
    body: bytes,
    request_id: str,
) -> Response:
    operation = operations.get(form.operation)
    try:
        described = model.operation_model(form.operation)
    except OperationNotFoundError:
        raise UnknownOperationException(
            f"The service cloudwatch has no operation named '{form.operation}'"
        ) from None
    if operation is None:
        raise UnknownOperationException(f"The local SageMaker does not implement cloudwatch {form.operation}")
    parsed = form.parse(described.input_shape, body)
    if not isinstance(parsed, dict):
        raise SerializationException(f"The request must be a structure, not {type(parsed).__name__}")
    _require_finite(parsed, "the request")
    validate(described.input_shape, parsed)
    result = await asyncio.to_thread(operation, services, parsed)
    return Response(
        form.answer(described, result, request_id),
        media_type=form.content_type,
        headers={**form.headers, "x-amzn-requestid": request_id},
    )


def _require_finite(value: Any, path: str) -> None:
    """Refuse NaN and infinities: CloudWatch has no such values, and names the parameter."""
    if isinstance(value, dict):
        for name, item in value.items():
            _require_finite(item, name)
    elif isinstance(value, list):
        for item in value:
            _require_finite(item, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidParameterValue(f"The parameter {path} must be a number between -2^360 and 2^360.")


async def _body(request: Request) -> bytes:
    try:
        body = await wire.read_body(request.receive, limits.JSON_BODY_BYTES)
    except wire.BodyTooLarge as error:
        raise SerializationException(f"The request is too large: {error}") from error
    if request.headers.get("content-encoding") != "gzip":
        return body
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, limits.JSON_BODY_BYTES)
    except zlib.error as error:
        raise SerializationException(f"The body is not gzip: {error}") from error
    if not unpacker.eof:
        raise SerializationException(
            f"The gzip body is cut off, or longer than {limits.JSON_BODY_BYTES} bytes when unpacked"
        )
    return unpacked


def _refusal(form: WireFormat, error: AwsError, request_id: str) -> Response:
    code = "ValidationError" if isinstance(error, ValidationException) else error.code
    name, fault = error_names().get(code, (error.code, "Sender" if error.status_code < 500 else "Receiver"))
    return Response(
        form.error(name, code, error.message, error.status_code, request_id),
        status_code=error.status_code,
        media_type=form.content_type,
        headers={
            **form.headers,
            "x-amzn-requestid": request_id,
            # What clients that came from the query protocol go by.
            "x-amzn-query-error": f"{code};{fault}",
        },
    )


@functools.cache
def error_names() -> Mapping[str, tuple[str, str]]:
    """The query protocol's code of each error → its name in the model, and whose fault it is."""
    names = {}
    for shape in service_model("cloudwatch").error_shapes:
        declared = shape.metadata.get("error", {})
        sender = declared.get("senderFault", declared.get("httpStatusCode", 400) < 500)
        names[declared.get("code", shape.name)] = (shape.name, "Sender" if sender else "Receiver")
    return names
