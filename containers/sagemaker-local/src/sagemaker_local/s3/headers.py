"""Headers that describe an object: taken from a request, put into an answer."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import parse_qsl

from sagemaker_local.s3 import checksums
from sagemaker_local.s3.conditions import http_date
from sagemaker_local.s3.errors import InvalidArgument, NotImplementedHere, S3Error
from sagemaker_local.s3.records import DEFAULT_CONTENT_TYPE, ObjectAttributes, ObjectInfo
from sagemaker_local.s3.request import S3Request

METADATA_MAXIMUM_BYTES = 2048
TAGS_MAXIMUM = 10
METADATA_PREFIX = "x-amz-meta-"

# Kept and answered as they came. Nothing is encrypted at rest here: the encryption headers only keep
# clients content that check what they asked for.
STORED_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "x-amz-storage-class",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
)

# What one account with one bucket owner grants anyway.
HARMLESS_ACLS = ("private", "bucket-owner-full-control", "bucket-owner-read")

UNSUPPORTED_PREFIXES = (
    "x-amz-server-side-encryption-customer-",
    "x-amz-object-lock-",
    "x-amz-grant-",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
)

# response-content-type=… in the query of a GET.
RESPONSE_OVERRIDES = {
    f"response-{name}": name
    for name in (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    )
}


def refuse_unsupported(headers: Mapping[str, str]) -> None:
    """Refuse what would change the meaning of a write and is not there.

    Raises:
        NotImplementedHere: naming the header.
    """
    for name in headers:
        if name.startswith(UNSUPPORTED_PREFIXES):
            raise NotImplementedHere(f"the header {name}")
    acl = headers.get("x-amz-acl", "private")
    if acl not in HARMLESS_ACLS:
        raise NotImplementedHere(f"the access control list {acl}")


def attributes_from(request: S3Request) -> ObjectAttributes:
    """What the headers of a PUT, POST ?uploads or copy say about the object.

    Raises:
        S3Error: MetadataTooLarge
        InvalidArgument: tags that cannot be.
        NotImplementedHere: something that is not there.
    """
    refuse_unsupported(request.headers)
    metadata = dict(request.amz("meta-"))
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > METADATA_MAXIMUM_BYTES:
        raise S3Error(
            "Your metadata headers exceed the maximum allowed metadata size",
            code="MetadataTooLarge",
            details={"Size": str(size), "MaxSizeAllowed": str(METADATA_MAXIMUM_BYTES)},
        )
    stored = {name: request.headers[name] for name in STORED_HEADERS if name in request.headers}
    if encoding := stored.pop("content-encoding", ""):
        kept = [part.strip() for part in encoding.split(",") if part.strip() not in ("", "aws-chunked")]
        if kept:
            stored["content-encoding"] = ",".join(kept)
    return ObjectAttributes(
        content_type=request.headers.get("content-type") or DEFAULT_CONTENT_TYPE,
        headers=stored,
        metadata=metadata,
        tags=parse_tagging_header(request.headers.get("x-amz-tagging", "")),
    )


def parse_tagging_header(header: str) -> dict[str, str]:
    """``key=value&…`` of x-amz-tagging.

    Raises:
        InvalidArgument: the same key twice.
        S3Error: BadRequest, more than ten tags.
    """
    pairs = parse_qsl(header, keep_blank_values=True)
    tags = dict(pairs)
    if len(tags) != len(pairs):
        raise InvalidArgument("Cannot provide multiple Tags with the same key", "x-amz-tagging", header)
    check_tags(tags)
    return tags


def check_tags(tags: Mapping[str, str]) -> None:
    """Keep AWS's limits on tags.

    Raises:
        S3Error: BadRequest or InvalidTag.
    """
    if len(tags) > TAGS_MAXIMUM:
        raise S3Error(f"Object tags cannot be greater than {TAGS_MAXIMUM}", code="BadRequest")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128:
            raise S3Error(
                "The TagKey you have provided is invalid", code="InvalidTag", details={"TagKey": key}
            )
        if len(value) > 256:
            raise S3Error(
                "The TagValue you have provided is invalid", code="InvalidTag", details={"TagValue": value}
            )


def object_headers(info: ObjectInfo) -> dict[str, str]:
    """The headers of a GET or HEAD, but for the length and checksums."""
    headers = {
        "last-modified": http_date(info.last_modified),
        "etag": f'"{info.etag}"',
        "accept-ranges": "bytes",
        "content-type": info.content_type,
        **info.attributes.headers,
    }
    if headers.get("x-amz-storage-class") == "STANDARD":
        del headers["x-amz-storage-class"]
    headers |= {METADATA_PREFIX + name: _header_text(value) for name, value in info.metadata.items()}
    if info.attributes.tags:
        headers["x-amz-tagging-count"] = str(len(info.attributes.tags))
    return headers


def checksum_headers(values: Mapping[str, str], checksum_type: str | None = None) -> dict[str, str]:
    """Checksums as headers, with their type where the answer has one."""
    headers = {checksums.header_name(algorithm): value for algorithm, value in values.items()}
    if headers and checksum_type:
        headers["x-amz-checksum-type"] = checksum_type
    return headers


def write_headers(info: ObjectInfo) -> dict[str, str]:
    """What the answer to a write says of the object."""
    encryption = {
        name: value for name, value in info.attributes.headers.items() if name.startswith("x-amz-server-side")
    }
    return {"etag": f'"{info.etag}"', **checksum_headers(info.checksums, info.checksum_type), **encryption}


def _header_text(value: str) -> str:
    """ASCII as it is; anything else by RFC 2047, as S3 does for metadata that is not ASCII."""
    if value.isascii():
        return value
    return f"=?UTF-8?B?{b64encode(value.encode('utf-8')).decode('ascii')}?="
