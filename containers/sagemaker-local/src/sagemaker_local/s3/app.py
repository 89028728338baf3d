"""S3's REST-XML interface as an ASGI application: the routes, and how errors and answers go out.

Requests are told apart by method, by whether they name a bucket and a key, and by a sub-resource in the query
(``?uploads``) or a header. Both addressing styles work: ``/bucket/key`` and ``bucket.localhost/key``.
Signatures are verified before (:mod:`sagemaker_local.auth.gate`), where that is asked for; a presigned URL is
held to its expiry always.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sagemaker_local.durability import is_disk_full
from sagemaker_local.errors import AwsError
from sagemaker_local.s3 import bucket_routes as buckets
from sagemaker_local.s3 import copy_routes as copies
from sagemaker_local.s3 import multipart_routes as multipart
from sagemaker_local.s3 import object_routes as objects
from sagemaker_local.s3 import xml
from sagemaker_local.s3.errors import (
    InvalidArgument,
    InvalidRange,
    MethodNotAllowed,
    NotImplementedHere,
    S3Error,
)
from sagemaker_local.s3.expiry import check_expiry
from sagemaker_local.s3.object_store import DEFAULT_REGION, ObjectStore
from sagemaker_local.s3.request import ClientGone, Response, S3Request
from sagemaker_local.s3.threads import in_thread

log = logging.getLogger(__name__)

Handler = Callable[[S3Request], Awaitable[Response]]

# Sub-resource ("" for none) → method → operation. A header instead of a sub-resource starts with "x-".
SERVICE: Mapping[str, Mapping[str, Handler]] = {"": {"GET": buckets.list_buckets}}

BUCKET: Mapping[str, Mapping[str, Handler]] = {
    "delete": {"POST": buckets.delete_objects},
    "location": {"GET": buckets.get_bucket_location},
    "uploads": {"GET": multipart.list_multipart_uploads},
    "versioning": {"GET": buckets.get_bucket_versioning},
    "list-type": {"GET": buckets.list_objects_v2},
    "": {
        "GET": buckets.list_objects,
        "PUT": buckets.create_bucket,
        "HEAD": buckets.head_bucket,
        "DELETE": buckets.delete_bucket,
    },
}

OBJECT: Mapping[str, Mapping[str, Handler]] = {
    "tagging": {
        "GET": objects.get_object_tagging,
        "PUT": objects.put_object_tagging,
        "DELETE": objects.delete_object_tagging,
    },
    "uploads": {"POST": multipart.create_multipart_upload},
    "uploadId": {
        "GET": multipart.list_parts,
        "PUT": multipart.upload_part,
        "POST": multipart.complete_multipart_upload,
        "DELETE": multipart.abort_multipart_upload,
    },
    "": {
        "GET": objects.get_object,
        "HEAD": objects.head_object,
        "PUT": objects.put_object,
        "DELETE": objects.delete_object,
    },
}

COPIES: Mapping[str, Handler] = {"uploadId": copies.upload_part_copy, "": copies.copy_object}
"""A PUT with x-amz-copy-source."""

# Sub-resources that AWS has and this server does not: refused by name, not taken for the resource itself.
# Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
NOT_IMPLEMENTED = frozenset(
    [
        "abac",
        "accelerate",
        "acl",
        "analytics",
        "annotation",
        "append",
        "attributes",
        "cors",
        "delete",
        "encryption",
        "encryptionConfiguration",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "location",
        "logging",
        "metadataAnnotationTable",
        "metadataConfiguration",
        "metadataInventoryTable",
        "metadataJournalTable",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "renameObject",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "session",
        "tagging",
        "torrent",
        "uploads",
        "uploadId",
        "versioning",
        "versions",
        "website",
    ]
)

DRAIN_MAXIMUM_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024


def create_app(store: ObjectStore, *, region: str = DEFAULT_REGION) -> ASGIApp:
    """The application in front of a store."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"S3 speaks HTTP, not {scope['type']}")
        try:
            await _answer(scope, receive, send, store, region)
        except ClientGone:
            log.info("%s %s: the client hung up while sending", scope["method"], scope["path"])

    return application


async def _answer(scope: Scope, receive: Receive, send: Send, store: ObjectStore, region: str) -> None:
    request: S3Request | None = None
    try:
        request = S3Request(scope, receive, store, region)
        response = await route(request)(request)
    except AwsError as error:
        response = error_response(error, request, scope["path"])
    except ClientGone:
        raise
    except (
        Exception
    ) as error:  # a defect or a broken disk: the client gets an answer, the log the whole story
        log.exception("%s %s failed", scope["method"], scope["path"])
        response = error_response(failure(error), request, scope["path"])
    if request is not None and not request.body_finished:
        await _leave_body(request, response)
    request_id = request.request_id if request else secrets.token_hex(8).upper()
    await _send(scope["method"], response, request_id, send)


def failure(error: Exception) -> S3Error:
    """What the client is told of an error that is not its own; a full disk is not worth its retries (507)."""
    if is_disk_full(error):
        return S3Error(
            "The disk of the local SageMaker's data directory is full; nothing was changed. Free space on it "
            "and send the request again.",
            code="InsufficientStorage",
            status_code=507,
        )
    return S3Error(
        "We encountered an internal error. Please try again.", code="InternalError", status_code=500
    )


def route(request: S3Request) -> Handler:
    """The operation that a request asks for.

    Raises:
        NotImplementedHere: a sub-resource that is not there, by name.
        MethodNotAllowed: the resource has no such method.
    """
    check_expiry(request.query)
    table = OBJECT if request.key else BUCKET if request.bucket else SERVICE
    subresource = next((name for name in table if name in request.query), "")
    for name in request.query:
        if name in NOT_IMPLEMENTED and name != subresource:
            raise NotImplementedHere(f"the sub-resource ?{name} ({request.method})")
    if request.query.get("versionId", "null") not in ("null", ""):
        raise InvalidArgument("Invalid version id specified", "versionId", request.query["versionId"])
    if (
        request.method == "PUT"
        and "x-amz-copy-source" in request.headers
        and subresource in COPIES
        and request.key
    ):
        return COPIES[subresource]
    handler = table[subresource].get(request.method)
    if handler is None:
        if subresource:
            raise NotImplementedHere(f"the sub-resource ?{subresource} ({request.method})")
        raise MethodNotAllowed(
            request.method, "OBJECT" if request.key else "BUCKET" if request.bucket else "SERVICE"
        )
    return handler


def operation_name(scope: Scope, store: ObjectStore) -> str:
    """The name of the operation that a request asks for, such as ``PutObject``; empty for what is refused."""
    try:
        handler = route(S3Request(scope, _no_body, store, DEFAULT_REGION))
    except AwsError:
        return ""
    return "".join(word.capitalize() for word in handler.__name__.split("_"))


async def _no_body() -> Message:
    raise ClientGone


def error_response(error: AwsError, request: S3Request | None, path: str) -> Response:
    """An error as S3 puts it; a HEAD has no body to put it in."""
    content: dict[str, xml.Value] = {"Code": error.code, "Message": error.message}
    content |= error.details if isinstance(error, S3Error) else {}
    content.setdefault("Resource", path)
    content["RequestId"] = request.request_id if request else None
    response = Response.xml(xml.document("Error", content, namespace=""), error.status_code)
    if isinstance(error, InvalidRange):
        response.headers["content-range"] = f"bytes */{error.size}"
    return response


async def _leave_body(request: S3Request, response: Response) -> None:
    """Deal with a body that nobody read: read past it, or end the connection."""
    if request.expects_continue and not request.body_started:
        # The client has sent nothing yet and may still do so after the answer (RFC 9110 §10.1.1).
        response.headers["connection"] = "close"
        return
    size = 0
    while chunk := await request.next_chunk():
        size += len(chunk)
        if size > DRAIN_MAXIMUM_BYTES:
            response.headers["connection"] = "close"
            return


def _raw(value: str) -> bytes:
    """A header's value as it once came: bytes that are no Latin-1 were UTF-8."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8")


async def _send(method: str, response: Response, request_id: str, send: Send) -> None:
    headers = {
        "x-amz-request-id": request_id,
        "x-amz-id-2": request_id,
        "server": "AmazonS3",
        **response.headers,
    }
    if response.reader is None and response.status not in (204, 304):
        headers.setdefault("content-length", str(len(response.body)))
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [(name.encode("latin-1"), _raw(value)) for name, value in headers.items()],
        }
    )
    if method == "HEAD" or response.reader is None:
        if response.reader is not None:
            response.reader.close()
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})
        return
    try:
        while chunk := await in_thread(response.reader.read, CHUNK_BYTES):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        response.reader.close()
    await send({"type": "http.response.body", "body": b""})
