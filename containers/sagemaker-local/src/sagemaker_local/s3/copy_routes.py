"""Operations that read one object to write another: CopyObject, UploadPartCopy."""

from __future__ import annotations

import re
from dataclasses import replace

from sagemaker_local.s3 import xml
from sagemaker_local.s3.bodies import algorithm_named
from sagemaker_local.s3.conditions import check_copy_source, write_condition
from sagemaker_local.s3.errors import EntityTooLarge, InvalidArgument, InvalidRange, InvalidRequest
from sagemaker_local.s3.headers import STORED_HEADERS, attributes_from, refuse_unsupported, write_headers
from sagemaker_local.s3.multipart import check_part_number
from sagemaker_local.s3.records import ObjectAttributes, ObjectInfo, PartInfo
from sagemaker_local.s3.request import Response, S3Request, decode_uri
from sagemaker_local.s3.threads import in_thread

COPY_MAXIMUM_BYTES = 5 * 1024**3
COPY_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
NEW_ATTRIBUTE_HEADERS = frozenset(name for name in STORED_HEADERS if name.startswith("x-amz-"))


async def copy_object(request: S3Request) -> Response:
    """CopyObject."""
    info = await in_thread(_copy, request)
    content: dict[str, xml.Value] = {
        "LastModified": info.last_modified,
        "ETag": f'"{info.etag}"',
        "ChecksumType": info.checksum_type if info.checksums else None,
        **{f"Checksum{algorithm}": value for algorithm, value in info.checksums.items()},
    }
    response = Response.xml(xml.document("CopyObjectResult", content))
    response.headers |= {
        name: value for name, value in write_headers(info).items() if name.startswith("x-amz-server-side")
    }
    return response


def _copy(request: S3Request) -> ObjectInfo:
    bucket, key = source_of(request)
    source = request.store.head(bucket, key)
    check_copy_source(source, request.headers)
    if source.size > COPY_MAXIMUM_BYTES:
        raise EntityTooLarge(source.size, COPY_MAXIMUM_BYTES)
    return request.store.copy(
        bucket,
        key,
        request.bucket,
        request.key,
        attributes=_attributes_of_copy(request, source),
        algorithm=algorithm_named(request.headers.get("x-amz-checksum-algorithm")),
        source_etag=source.etag,
        condition=write_condition(request.headers),
    )


def _attributes_of_copy(request: S3Request, source: ObjectInfo) -> ObjectAttributes:
    """The source's or the request's, as x-amz-metadata-directive and x-amz-tagging-directive say."""
    refuse_unsupported(request.headers)
    metadata = _directive(request, "x-amz-metadata-directive")
    tagging = _directive(request, "x-amz-tagging-directive")
    asked = attributes_from(request)
    new_storage = {name: value for name, value in asked.headers.items() if name in NEW_ATTRIBUTE_HEADERS}
    if (
        metadata == "COPY"
        and (source.bucket, source.key) == (request.bucket, request.key)
        and not new_storage
    ):
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing "
            "the object's metadata, storage class, website redirect location or encryption attributes."
        )
    if metadata == "REPLACE":
        base = asked
    else:
        kept = {
            name: value
            for name, value in source.attributes.headers.items()
            if name not in NEW_ATTRIBUTE_HEADERS
        }
        base = replace(source.attributes, headers=kept | new_storage)
    return replace(base, tags=asked.tags if tagging == "REPLACE" else source.attributes.tags)


def _directive(request: S3Request, header: str) -> str:
    value = request.headers.get(header, "COPY")
    if value not in ("COPY", "REPLACE"):
        raise InvalidArgument(f"Unknown directive in {header}: COPY or REPLACE", header, value)
    return value


async def upload_part_copy(request: S3Request) -> Response:
    """UploadPartCopy: a part from an object, or a range of one."""
    part = await in_thread(_copy_part, request)
    content: dict[str, xml.Value] = {
        "LastModified": part.last_modified,
        "ETag": f'"{part.etag}"',
        **{f"Checksum{algorithm}": value for algorithm, value in part.checksums.items()},
    }
    return Response.xml(xml.document("CopyPartResult", content))


def _copy_part(request: S3Request) -> PartInfo:
    number = check_part_number(request.query.get("partNumber", ""))
    upload_id = request.query["uploadId"]
    upload = request.store.uploads.get(request.bucket, request.key, upload_id)
    info, reader = request.store.open_with_info(*source_of(request))
    with reader:
        check_copy_source(info, request.headers)
        if header := request.headers.get("x-amz-copy-source-range"):
            reader.restrict(*_copy_range(header, info.size))
        writer = request.store.writer([upload.checksum_algorithm] if upload.checksum_algorithm else [])
        try:
            writer.copy(reader)
            blob = writer.finish()
        except BaseException:
            writer.abort()
            raise
    return request.store.uploads.put_part(request.bucket, request.key, upload_id, number, blob)


def _copy_range(header: str, size: int) -> tuple[int, int]:
    match = COPY_RANGE.fullmatch(header)
    if match is None:
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are "
            "the zero-based offsets of the first and last bytes to copy",
            "x-amz-copy-source-range",
            header,
        )
    first, last = int(match[1]), int(match[2])
    if first > last or last >= size:
        raise InvalidRange(header, size)
    return first, last - first + 1


def source_of(request: S3Request) -> tuple[str, str]:
    """Bucket and key of x-amz-copy-source.

    Raises:
        InvalidArgument: not ``bucket/key``, or a version.
    """
    header = request.headers["x-amz-copy-source"]
    path, _, version = header.partition("?versionId=")
    bucket, _, key = decode_uri(path.encode("utf-8")).removeprefix("/").partition("/")
    if not bucket or not key:
        raise InvalidArgument("Invalid copy source object key", "x-amz-copy-source", header)
    if version not in ("", "null"):
        raise InvalidArgument("Invalid version id specified", "versionId", version)
    return bucket, key
