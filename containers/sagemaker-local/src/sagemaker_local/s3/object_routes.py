"""Operations on objects: put, get, head, delete, and their tags."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sagemaker_local.s3 import xml
from sagemaker_local.s3.blobs import BlobReader
from sagemaker_local.s3.bodies import IncomingBlob, algorithm_named, read_xml_body
from sagemaker_local.s3.conditions import NotModified, check_read, write_condition
from sagemaker_local.s3.errors import InvalidArgument, InvalidRequest, S3Error
from sagemaker_local.s3.headers import (
    RESPONSE_OVERRIDES,
    attributes_from,
    check_tags,
    checksum_headers,
    object_headers,
    write_headers,
)
from sagemaker_local.s3.multipart import check_part_number
from sagemaker_local.s3.names import check_key
from sagemaker_local.s3.ranges import parse_range
from sagemaker_local.s3.records import Blob, ObjectInfo
from sagemaker_local.s3.request import Response, S3Request
from sagemaker_local.s3.threads import in_thread

IN_MEMORY_BYTES = 1024 * 1024


async def put_object(request: S3Request) -> Response:
    """PutObject."""
    attributes = attributes_from(request)
    condition = write_condition(request.headers)
    check_key(request.key)
    incoming = IncomingBlob(request, algorithm_named(request.headers.get("x-amz-sdk-checksum-algorithm")))
    await in_thread(request.store.bucket, request.bucket)  # refuse before the body is sent

    def commit(blob: Blob) -> ObjectInfo:
        return request.store.commit(request.bucket, request.key, blob, attributes, condition)

    info = await incoming.receive(commit)
    return Response(headers=write_headers(info))


async def get_object(request: S3Request) -> Response:
    """GetObject: whole, a range, or one part."""
    return await in_thread(_read, request, partial(request.store.open_with_info, request.bucket, request.key))


async def head_object(request: S3Request) -> Response:
    """HeadObject."""

    def describe() -> tuple[ObjectInfo, None]:
        return request.store.head(request.bucket, request.key), None

    return await in_thread(_read, request, describe)


def _read(request: S3Request, look_up: Callable[[], tuple[ObjectInfo, BlobReader | None]]) -> Response:
    info, reader = look_up()
    try:
        response = _describe(request, info)
        if reader is None:
            return response
        start, length = _span(request, info)
        reader.restrict(start, length)
        if length > IN_MEMORY_BYTES:
            response.reader, reader = reader, None
        else:
            response.body = reader.read(length) or b""
            while len(response.body) < length:  # a range over several parts
                response.body += reader.read(length - len(response.body)) or b""
        return response
    except NotModified:
        return Response(304, object_headers(info))
    finally:
        if reader is not None:
            reader.close()


def _describe(request: S3Request, info: ObjectInfo) -> Response:
    check_read(info, request.headers)
    start, length = _span(request, info)
    headers = object_headers(info)
    headers |= {
        header: _printable(parameter, request.query[parameter])
        for parameter, header in RESPONSE_OVERRIDES.items()
        if parameter in request.query
    }
    headers["content-length"] = str(length)
    status = 200
    if "partNumber" in request.query or parse_range(request.headers.get("range"), info.size):
        status = 206
        headers["content-range"] = (
            f"bytes {start}-{start + length - 1}/{info.size}" if length else "bytes */0"
        )
    elif request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        headers |= checksum_headers(info.checksums, info.checksum_type)
    if "partNumber" in request.query and "-" in info.etag:
        headers["x-amz-mp-parts-count"] = str(len(info.segments))
    return Response(status, headers)


def _printable(parameter: str, value: str) -> str:
    """A header's value from the query, where line breaks would begin further headers.

    Raises:
        InvalidArgument: it has control characters.
    """
    if any(character < " " or character == "\x7f" for character in value):
        raise InvalidArgument("A header cannot have control characters", parameter, value)
    return value


def _span(request: S3Request, info: ObjectInfo) -> tuple[int, int]:
    """Which bytes are asked for: start and length.

    Raises:
        InvalidRange: they lie outside the object.
        S3Error: InvalidPartNumber
    """
    if "partNumber" in request.query:
        if "range" in request.headers:
            raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
        number = check_part_number(request.query["partNumber"])
        if number > len(info.segments):
            raise S3Error(
                "The requested partnumber is not satisfiable", code="InvalidPartNumber", status_code=416
            )
        return sum(segment.size for segment in info.segments[: number - 1]), info.segments[number - 1].size
    return parse_range(request.headers.get("range"), info.size) or (0, info.size)


async def delete_object(request: S3Request) -> Response:
    """DeleteObject: 204 whether it was there or not."""
    header = request.headers.get("if-match")
    match = None if header is None else header.strip('"')
    await in_thread(request.store.delete, request.bucket, request.key, if_match=match)
    return Response(204)


async def get_object_tagging(request: S3Request) -> Response:
    """GetObjectTagging."""
    info = await in_thread(request.store.head, request.bucket, request.key)
    tags = [{"Key": key, "Value": value} for key, value in info.attributes.tags.items()]
    return Response.xml(xml.document("Tagging", {"TagSet": {"Tag": tags}}))


async def put_object_tagging(request: S3Request) -> Response:
    """PutObjectTagging."""
    root = xml.parse(await read_xml_body(request), "Tagging")
    elements = root.findall("TagSet/Tag")
    tags = {xml.text_of(element, "Key"): xml.text_of(element, "Value") for element in elements}
    if len(tags) != len(elements):
        raise InvalidArgument("Cannot provide multiple Tags with the same key")
    check_tags(tags)
    await in_thread(request.store.set_tags, request.bucket, request.key, tags)
    return Response()


async def delete_object_tagging(request: S3Request) -> Response:
    """DeleteObjectTagging."""
    await in_thread(request.store.set_tags, request.bucket, request.key, {})
    return Response(204)
