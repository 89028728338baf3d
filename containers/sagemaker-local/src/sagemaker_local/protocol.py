"""AWS's JSON 1.1 protocol: find the operation, validate, dispatch, serialise, answer errors.

Source: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html; the models are botocore's.
"""

from __future__ import annotations

import datetime
import functools
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import botocore.session
import orjson
from botocore.model import OperationNotFoundError, ServiceModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from sagemaker_local import limits, wire
from sagemaker_local.durability import is_disk_full, settled
from sagemaker_local.errors import (
    AwsError,
    InternalFailure,
    SerializationException,
    UnknownOperationException,
)
from sagemaker_local.services import Services
from sagemaker_local.validation import validate

logger = logging.getLogger(__name__)

Handler = Callable[[Services, dict[str, Any]], Awaitable[dict[str, Any]]]
"""One operation: takes the server's parts and the validated request, returns the answer."""

JSON_CONTENT_TYPE = "application/x-amz-json-1.1"


@functools.cache
def service_model(service: str) -> ServiceModel:
    """botocore's model of a service, read once."""
    return botocore.session.get_session().get_service_model(service)


class JsonProtocol:
    """Serves one service's operations.

    Args:
        service: botocore's name of the service.
        operations: Handler of each operation that is implemented.
        services: The server's parts, handed to every handler.
    """

    def __init__(self, service: str, operations: Mapping[str, Handler], services: Services) -> None:
        self.model = service_model(service)
        self.operations = operations
        self.services = services
        for name in operations:
            self.model.operation_model(name)  # a misspelt name must not wait for its first caller

    async def __call__(self, request: Request) -> Response:
        """Answer one request; whatever goes wrong is answered in AWS's shape."""
        operation = request.headers.get("x-amz-target", "").partition(".")[2]
        started = time.perf_counter()
        try:
            answer = await self._answer(operation, request)
        except ClientDisconnect:
            raise
        except AwsError as error:
            logger.info("%s refused: %s: %s", operation, error.code, error.message)
            return error_response(error)
        except Exception as error:  # a defect of ours is answered in AWS's shape
            logger.exception("%s failed", operation)
            return error_response(failure(operation, error))
        logger.debug("%s answered in %.1f ms", operation, (time.perf_counter() - started) * 1000)
        return Response(answer_json(answer), media_type=JSON_CONTENT_TYPE, headers=request_id())

    async def _answer(self, operation: str, request: Request) -> dict[str, Any]:
        handler = self.operations.get(operation)
        if handler is None:
            raise self._unknown(operation)
        parsed = await self._parse(request)
        validate(self.model.operation_model(operation).input_shape, parsed)
        parsed = without_nulls(parsed)
        try:
            return await handler(self.services, parsed)
        finally:
            await settled(self.services.store.commits, self.services.logs.commits)

    def _unknown(self, operation: str) -> UnknownOperationException:
        service = self.model.service_name
        try:
            self.model.operation_model(operation)
        except OperationNotFoundError:
            return UnknownOperationException(f"The service {service} has no operation named '{operation}'")
        return UnknownOperationException(f"The local SageMaker does not implement {service} {operation}")

    @staticmethod
    async def _parse(request: Request) -> dict[str, Any]:
        try:
            body = await wire.read_body(request.receive, limits.JSON_BODY_BYTES)
        except wire.BodyTooLarge as error:
            raise SerializationException(
                f"The request is too large, {error}; at most that many are read"
            ) from error
        except wire.Disconnected as error:
            raise ClientDisconnect from error
        parsed = parse_json(body or b"{}")
        if not isinstance(parsed, dict):
            raise SerializationException(f"The body must be a JSON object, not {type(parsed).__name__}")
        return parsed


def parse_json(body: bytes) -> object:
    """JSON as AWS takes it: UTF-8, no NaN, nested only so deep, and every string a sequence of characters.

    Raises:
        SerializationException: the body is something else.
    """
    try:
        parsed: object = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
        if b"\\u" in body:
            json.dumps(parsed, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is no character
    except (ValueError, RecursionError) as error:
        raise SerializationException(f"The body is not JSON: {error}") from error
    return parsed


def without_nulls(value: Any) -> Any:
    """The request as its handler sees it: a member that is null is a member that was left out."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")


def failure(operation: str, error: Exception) -> AwsError:
    """What the client is told of an error that is not its own."""
    if is_disk_full(error):
        return InternalFailure(
            f"{operation} failed: the disk of the local SageMaker's data directory is full; nothing was "
            "changed. Free space on it and send the request again"
        )
    return InternalFailure(f"{operation} failed in the local SageMaker: {error!r}; see its log")


def error_response(error: AwsError) -> Response:
    """An error in the JSON protocols' envelope."""
    return Response(
        json.dumps({"__type": error.code, "message": error.message}),
        status_code=error.status_code,
        media_type=JSON_CONTENT_TYPE,
        headers={"x-amzn-ErrorType": error.code, **request_id()},
    )


def request_id() -> dict[str, str]:
    """The header by which AWS's clients name a call in their errors."""
    return {"x-amzn-RequestId": str(uuid.uuid4())}


def answer_json(answer: Mapping[str, Any]) -> bytes:
    """An answer as JSON: a page of a hundred jobs in an eighth of the standard library's time."""
    try:
        return orjson.dumps(answer, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError:
        # Half a character of a job's output, or a number of over 64 bits: the standard library takes both.
        return json.dumps(answer, default=_plain).encode()


def _plain(value: object) -> object:
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} does not belong in an answer: {value!r}")
