"""The three protocols in which CloudWatch is spoken, each turned into the same plain values and back.

botocore and AWS's newer SDKs send CBOR or JSON 1.0, older ones and the AWS CLI the query protocol. Inside,
a request is a dict as JSON has it: numbers, strings, lists, and timestamps as seconds since the epoch.

Sources: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html,
https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html,
https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from __future__ import annotations

import datetime
import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from sagemaker_local.cloudwatch import query_format
from sagemaker_local.errors import SerializationException

CBOR_PATH = re.compile(r"/service/(?:[^/]*\.)?GraniteServiceVersion20100801/operation/(?P<operation>\w+)")
NOT_FINITE = ("NaN", "Infinity", "-Infinity")
"""How the JSON protocol writes them."""


class CborFormat:
    """Smithy RPC v2 CBOR."""

    content_type = "application/cbor"
    headers: Mapping[str, str] = {"smithy-protocol": "rpc-v2-cbor"}

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def parse(self, shape: Shape | None, body: bytes) -> Any:
        """The request of a body."""
        import cbor2  # a tenth of a second that only CloudWatch's callers pay

        if not body:
            return {}
        stream = io.BytesIO(body)
        try:
            parsed = cbor2.load(stream)
        except Exception as error:  # tags make the decoder build objects, which raise anything
            raise SerializationException(f"The body is not CBOR: {error}") from error
        if stream.read(1):
            raise SerializationException("The body goes on after its CBOR value")
        return plain(shape, parsed)

    def answer(self, operation: OperationModel, result: dict[str, Any], request_id: str) -> bytes:
        """The body of an answer."""
        if operation.output_shape is None:
            return b""
        return self._encoded(with_times(operation.output_shape, result, self._time))

    def error(self, name: str, code: str, message: str, status: int, request_id: str) -> bytes:
        """The body of a refusal."""
        return self._encoded({"__type": name, "message": message})

    @staticmethod
    def _time(seconds: float) -> Any:
        import cbor2

        return cbor2.CBORTag(1, float(seconds))

    @staticmethod
    def _encoded(value: Any) -> bytes:
        import cbor2

        encoded: bytes = cbor2.dumps(value)
        return encoded


class JsonFormat:
    """AWS JSON 1.0."""

    content_type = "application/x-amz-json-1.0"
    headers: Mapping[str, str] = {}

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def parse(self, shape: Shape | None, body: bytes) -> Any:
        """The request of a body."""
        try:
            return plain(shape, json.loads(body or b"{}"))
        except (ValueError, RecursionError) as error:
            raise SerializationException(f"The body is not JSON: {error}") from error

    def answer(self, operation: OperationModel, result: dict[str, Any], request_id: str) -> bytes:
        """The body of an answer."""
        return json.dumps(result).encode()

    def error(self, name: str, code: str, message: str, status: int, request_id: str) -> bytes:
        """The body of a refusal."""
        return json.dumps({"__type": f"com.amazonaws.cloudwatch#{name}", "message": message}).encode()


class QueryFormat:
    """AWS query: a form in, XML out."""

    content_type = "text/xml"
    headers: Mapping[str, str] = {}

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.parameters = parameters
        self.operation = parameters.get("Action", "")

    def parse(self, shape: Shape | None, body: bytes) -> Any:
        """The request of a form."""
        if not isinstance(shape, StructureShape):
            return {}
        return plain(shape, query_format.parse(shape, self.parameters))

    def answer(self, operation: OperationModel, result: dict[str, Any], request_id: str) -> bytes:
        """The document of an answer."""
        return query_format.document(operation, with_times(operation.output_shape, result, iso), request_id)

    def error(self, name: str, code: str, message: str, status: int, request_id: str) -> bytes:
        """The document of a refusal."""
        return query_format.error_document(code, message, status, request_id)


WireFormat = CborFormat | JsonFormat | QueryFormat


def wire_format(path: str, query: str, headers: Mapping[str, str], body: bytes) -> WireFormat:
    """The format of a request, by the marks that its protocol says."""
    if match := CBOR_PATH.fullmatch(path):
        return CborFormat(match["operation"])
    if target := headers.get("x-amz-target"):
        return JsonFormat(target.partition(".")[2])
    text = query
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        text = f"{query}&{body.decode('utf-8', 'replace')}" if query else body.decode("utf-8", "replace")
    try:
        return QueryFormat(dict(parse_qsl(text, keep_blank_values=True, max_num_fields=500_000)))
    except ValueError as error:
        raise SerializationException(f"The form is not readable: {error}") from error


def plain(shape: Shape | None, value: Any) -> Any:
    """A request with its timestamps as seconds; what does not fit the shape is left for validation."""
    if shape is not None and shape.type_name == "timestamp":
        return seconds(value)
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        return {
            name: plain(shape.members.get(name), item) for name, item in value.items() if item is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [plain(shape.member, item) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {name: plain(shape.value, item) for name, item in value.items()}
    if shape is not None and shape.type_name in ("float", "double") and value in NOT_FINITE:
        return float(value)
    return value


def with_times(shape: Shape | None, value: Any, write: Callable[[float], Any]) -> Any:
    """An answer with its timestamps written as a format has them."""
    if shape is not None and shape.type_name == "timestamp":
        return write(value)
    if isinstance(shape, StructureShape):
        return {
            name: with_times(shape.members[name], item, write)
            for name, item in value.items()
            if item is not None
        }
    if isinstance(shape, ListShape):
        return [with_times(shape.member, item, write) for item in value]
    if shape is not None and shape.type_name in ("float", "double"):
        return float(value)
    return value


def seconds(value: Any) -> Any:
    """A timestamp as seconds since the epoch."""
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, str):
        try:
            parsed = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            raise SerializationException(f"'{value}' is not a timestamp") from None
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)).timestamp()
    return value


def iso(at_s: float) -> str:
    """A timestamp as the query protocol writes it."""
    at = datetime.datetime.fromtimestamp(at_s, datetime.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
