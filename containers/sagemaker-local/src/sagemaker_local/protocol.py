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
from botocore.model import OperationNotFoundError, ServiceModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from sagemaker_local import limits
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
        except Exception as error:
            logger.exception("%s failed", operation)
            return error_response(
                InternalFailure(f"{operation} failed in the local SageMaker: {error!r}; see its log")
            )
        logger.debug("%s answered in %.1f ms", operation, (time.perf_counter() - started) * 1000)
        return Response(
            json.dumps(answer, default=_plain), media_type=JSON_CONTENT_TYPE, headers=request_id()
        )

    async def _answer(self, operation: str, request: Request) -> dict[str, Any]:
        handler = self.operations.get(operation)
        if handler is None:
            raise self._unknown(operation)
        parsed = await self._parse(request)
        validate(self.model.operation_model(operation).input_shape, parsed)
        return await handler(self.services, parsed)

    def _unknown(self, operation: str) -> UnknownOperationException:
        service = self.model.service_name
        try:
            self.model.operation_model(operation)
        except OperationNotFoundError:
            return UnknownOperationException(f"The service {service} has no operation named '{operation}'")
        return UnknownOperationException(f"The local SageMaker does not implement {service} {operation}")

    @staticmethod
    async def _parse(request: Request) -> dict[str, Any]:
        body = await request.body()
        if len(body) > limits.JSON_BODY_BYTES:
            raise SerializationException(
                f"The request is {len(body)} bytes; at most {limits.JSON_BODY_BYTES} are read"
            )
        try:
            parsed = json.loads(body or b"{}")
        except ValueError as error:
            raise SerializationException(f"The body is not JSON: {error}") from error
        if not isinstance(parsed, dict):
            raise SerializationException(f"The body must be a JSON object, not {type(parsed).__name__}")
        return parsed


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


def _plain(value: object) -> object:
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} does not belong in an answer: {value!r}")
