"""What a request asks for, whatever its protocol, and how that service puts an error on the wire.

Service and operation are told by AWS's own marks. For the parts that stand in front of every
service (authentication, faults). Sources:
https://smithy.io/2.0/aws/protocols/index.html and botocore's service models.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, unquote

from starlette.responses import Response
from starlette.types import Message, Receive, Scope

from sagemaker_local.errors import AwsError
from sagemaker_local.s3 import xml

Protocol = Literal["json", "rest-json", "query", "cbor", "s3"]

TARGETS: Mapping[str, str] = {
    "SageMaker": "sagemaker",
    "Logs_20140328": "logs",
    "GraniteServiceVersion20100801": "cloudwatch",
    "AnyScaleFrontendService": "application-autoscaling",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "AmazonSQS": "sqs",
    "AWSEvents": "events",
    "SecretsManager": "secretsmanager",
}
"""``X-Amz-Target`` prefix → botocore's name of the service; any other prefix stands for itself."""

SIGNED_AS: Mapping[str, str] = {
    "sagemaker-runtime": "sagemaker",
    "sagemaker-metrics": "sagemaker",
    "cloudwatch": "monitoring",
}
"""botocore's name → the name that requests are signed under, where they differ."""

NAMED: Mapping[str, str] = {"monitoring": "cloudwatch"}
INVOCATION = re.compile(r"/endpoints/[^/]+/(?P<operation>(async-)?invocations(-response-stream)?)")
INVOCATIONS: Mapping[str, str] = {
    "invocations": "InvokeEndpoint",
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}
RPC_PATH = re.compile(r"/service/(?P<target>[^/]+)/operation/(?P<operation>[^/]+)")
CREDENTIAL = re.compile(r"(?:Credential=|^)[^/\s]+/\d+/[^/]*/([^/]+)/aws4_request")


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one service; ``operation`` is empty where only the body or S3's own table tells it."""

    service: str
    operation: str
    protocol: Protocol

    @property
    def signing_name(self) -> str:
        """The service that its credential scope must name."""
        return SIGNED_AS.get(self.service, self.service)


def header(scope: Scope, name: bytes) -> str | None:
    """The first value of a header; names are lower-case on arrival."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return None


def signing_name(scope: Scope) -> str | None:
    """The service that the caller signed for, by header or by query; None when the request is not signed."""
    credential = header(scope, b"authorization")
    if credential is None and b"X-Amz-Credential" in scope["query_string"]:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        credential = query.get("X-Amz-Credential", [""])[0]
    match = CREDENTIAL.search(credential or "")
    return match[1] if match else None


def identify(scope: Scope) -> Call:
    """The call that a request is, by the same marks as the routes of :mod:`sagemaker_local.app`."""
    target = header(scope, b"x-amz-target")
    path = scope["path"]
    if target is not None:
        prefix, _, operation = target.partition(".")
        return Call(TARGETS.get(prefix, prefix), operation, "json")
    if match := RPC_PATH.fullmatch(path):
        return Call(TARGETS.get(match["target"], match["target"]), match["operation"], "cbor")
    signed_for = signing_name(scope)
    if signed_for in (None, "sagemaker"):
        if match := INVOCATION.fullmatch(path):
            return Call("sagemaker-runtime", INVOCATIONS[match["operation"]], "rest-json")
        if signed_for == "sagemaker":
            return Call("sagemaker-metrics", path.strip("/"), "rest-json")
    if signed_for not in (None, "s3", "s3express"):
        service = NAMED.get(signed_for, signed_for)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        return Call(service, query.get("Action", [""])[0], "query")
    return Call("s3", "", "s3")


def action_of(body: bytes) -> str:
    """The operation that a body of the query protocol names."""
    return parse_qs(body.decode("latin-1")).get("Action", [""])[0]


def error_response(call: Call, error: AwsError, path: str) -> Response:
    """An error as the call's service puts it; its client raises ``ClientError`` with the code and message."""
    request_id = str(uuid.uuid4())
    headers = {"x-amzn-requestid": request_id, "x-amzn-errortype": error.code}
    match call.protocol:
        case "json" | "rest-json":
            body = json.dumps({"__type": error.code, "message": error.message}).encode()
            kind = "application/x-amz-json-1.1" if call.protocol == "json" else "application/json"
        case "cbor":
            import cbor2

            body = cbor2.dumps({"__type": error.code, "message": error.message})
            kind = "application/cbor"
            headers["smithy-protocol"] = "rpc-v2-cbor"
        case "query":
            blame = "Receiver" if error.status_code >= 500 else "Sender"
            content: dict[str, xml.Value] = {
                "Error": {"Type": blame, "Code": error.code, "Message": error.message},
                "RequestId": request_id,
            }
            body, kind = xml.document("ErrorResponse", content, namespace=""), "text/xml"
        case "s3":
            details: Mapping[str, str] = getattr(error, "details", {})
            s3: dict[str, xml.Value] = {"Code": error.code, "Message": error.message, **details}
            s3 |= {"Resource": unquote(path), "RequestId": request_id}
            body, kind = xml.document("Error", s3, namespace=""), "application/xml"
            headers = {"x-amz-request-id": request_id}
    return Response(body, error.status_code, headers, kind)


class BodyTooLarge(Exception):
    """More than the limit has arrived; nothing of it is kept."""


class Disconnected(Exception):
    """The client hung up before its body had arrived: there is nobody to answer."""


async def read_body(receive: Receive, maximum_bytes: int) -> bytes:
    """A whole body, in bounded memory.

    Raises:
        BodyTooLarge: it goes on beyond the limit.
        Disconnected: it stopped before its end.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > maximum_bytes:
            raise BodyTooLarge(f"more than {maximum_bytes} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives a body that was read already, then whatever the connection does next."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
