"""Operations on the service and on buckets: create, list, delete, list objects, delete many."""

from __future__ import annotations

import base64
import binascii
from xml.etree import ElementTree

from sagemaker_local.errors import AwsError
from sagemaker_local.s3 import xml
from sagemaker_local.s3.bodies import read_xml_body
from sagemaker_local.s3.errors import InvalidArgument, MalformedXML
from sagemaker_local.s3.headers import refuse_unsupported
from sagemaker_local.s3.listing import Page
from sagemaker_local.s3.numbers import whole_number
from sagemaker_local.s3.object_store import DEFAULT_REGION
from sagemaker_local.s3.records import ObjectInfo
from sagemaker_local.s3.request import Response, S3Request
from sagemaker_local.s3.threads import in_thread

LIST_MAXIMUM = 1000
DELETE_MAXIMUM = 1000
OWNER: dict[str, xml.Value] = {"ID": "local", "DisplayName": "local"}


async def list_buckets(request: S3Request) -> Response:
    """ListBuckets."""
    prefix = request.query.get("prefix", "")
    maximum = _whole_number(request, "max-buckets", 10_000)
    after = _from_token(request.query.get("continuation-token"))
    found = [
        bucket
        for bucket in await in_thread(request.store.buckets)
        if bucket.name.startswith(prefix) and bucket.name > after
    ]
    page = found[:maximum]
    content: dict[str, xml.Value] = {
        "Owner": OWNER,
        "Buckets": {
            "Bucket": [
                {"Name": bucket.name, "CreationDate": bucket.created, "BucketRegion": bucket.region}
                for bucket in page
            ]
        },
        "ContinuationToken": _to_token(page[-1].name) if page and len(found) > len(page) else None,
        "Prefix": prefix or None,
    }
    return Response.xml(xml.document("ListAllMyBucketsResult", content))


async def create_bucket(request: S3Request) -> Response:
    """CreateBucket."""
    refuse_unsupported(request.headers)
    body = await read_xml_body(request)
    region = request.region
    if body.strip():
        region = xml.parse(body, "CreateBucketConfiguration").findtext("LocationConstraint") or region
    await in_thread(request.store.create_bucket, request.bucket, region)
    return Response(headers={"location": f"/{request.bucket}"})


async def head_bucket(request: S3Request) -> Response:
    """HeadBucket."""
    bucket = await in_thread(request.store.bucket, request.bucket)
    return Response(headers={"x-amz-bucket-region": bucket.region, "content-type": "application/xml"})


async def delete_bucket(request: S3Request) -> Response:
    """DeleteBucket."""
    await in_thread(request.store.delete_bucket, request.bucket)
    return Response(204)


async def get_bucket_location(request: S3Request) -> Response:
    """GetBucketLocation: us-east-1 is written as nothing."""
    bucket = await in_thread(request.store.bucket, request.bucket)
    region = "" if bucket.region == DEFAULT_REGION else bucket.region
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="{xml.NAMESPACE}">{region}'
    return Response.xml(f"{text}</LocationConstraint>".encode())


async def get_bucket_versioning(request: S3Request) -> Response:
    """GetBucketVersioning: it was never switched on, and cannot be."""
    await in_thread(request.store.bucket, request.bucket)
    return Response.xml(xml.document("VersioningConfiguration", {}))


async def list_objects_v2(request: S3Request) -> Response:
    """ListObjectsV2."""
    query = request.query
    token, start_after = query.get("continuation-token"), query.get("start-after", "")
    page, maximum = await _list(request, _from_token(token) if token is not None else start_after)
    encode = _encoder(request)
    content: dict[str, xml.Value] = {
        "Name": request.bucket,
        "Prefix": encode(query.get("prefix", "")),
        "StartAfter": encode(start_after) if start_after else None,
        "KeyCount": page.count,
        "MaxKeys": maximum,
        "Delimiter": encode(query["delimiter"]) if query.get("delimiter") else None,
        "EncodingType": query.get("encoding-type"),
        "IsTruncated": page.truncated,
        "ContinuationToken": token,
        "NextContinuationToken": _to_token(page.last) if page.truncated else None,
        "Contents": [
            _content(info, encode, owner=query.get("fetch-owner") == "true") for info in page.objects
        ],
        "CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in page.common_prefixes],
    }
    return Response.xml(xml.document("ListBucketResult", content))


async def list_objects(request: S3Request) -> Response:
    """ListObjects, the first version."""
    query = request.query
    page, maximum = await _list(request, query.get("marker", ""))
    encode = _encoder(request)
    delimiter = query.get("delimiter", "")
    content: dict[str, xml.Value] = {
        "Name": request.bucket,
        "Prefix": encode(query.get("prefix", "")),
        "Marker": encode(query.get("marker", "")),
        # AWS gives it only with a delimiter; without, a client goes on from the last key.
        "NextMarker": encode(page.last) if page.truncated and delimiter else None,
        "MaxKeys": maximum,
        "Delimiter": encode(delimiter) if delimiter else None,
        "EncodingType": query.get("encoding-type"),
        "IsTruncated": page.truncated,
        "Contents": [_content(info, encode, owner=True) for info in page.objects],
        "CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in page.common_prefixes],
    }
    return Response.xml(xml.document("ListBucketResult", content))


async def delete_objects(request: S3Request) -> Response:
    """DeleteObjects: each key for itself; an error of one does not touch the others."""
    root = xml.parse(await read_xml_body(request), "Delete")
    quiet = root.findtext("Quiet", "false").strip().lower() == "true"
    targets = root.findall("Object")
    if not 1 <= len(targets) <= DELETE_MAXIMUM:
        raise MalformedXML(f"between 1 and {DELETE_MAXIMUM} objects, not {len(targets)}")
    deleted, errors = await in_thread(_delete_each, request, targets)
    content: dict[str, xml.Value] = {
        "Deleted": [] if quiet else [{"Key": key} for key in deleted],
        "Error": errors,
    }
    return Response.xml(xml.document("DeleteResult", content))


def _delete_each(request: S3Request, targets: list[ElementTree.Element]) -> tuple[list[str], list[xml.Value]]:
    request.store.bucket(request.bucket)
    deleted: list[str] = []
    errors: list[xml.Value] = []
    for target in targets:
        key = xml.text_of(target, "Key")
        etag = target.findtext("ETag")
        try:
            if target.findtext("VersionId") not in (None, "", "null"):
                raise InvalidArgument(
                    "Invalid version id specified", "versionId", target.findtext("VersionId", "")
                )
            request.store.delete(request.bucket, key, if_match=None if etag is None else etag.strip('"'))
        except AwsError as error:
            errors.append({"Key": key, "Code": error.code, "Message": error.message})
        else:
            deleted.append(key)
    return deleted, errors


async def _list(request: S3Request, after: str) -> tuple[Page, int]:
    maximum = min(_whole_number(request, "max-keys", LIST_MAXIMUM), LIST_MAXIMUM)
    page = await in_thread(
        request.store.list_page,
        request.bucket,
        prefix=request.query.get("prefix", ""),
        delimiter=request.query.get("delimiter", ""),
        after=after,
        max_keys=maximum,
    )
    return page, maximum


def _content(info: ObjectInfo, encode: xml.Encoder, *, owner: bool) -> xml.Value:
    return {
        "Key": encode(info.key),
        "LastModified": info.last_modified,
        "ETag": f'"{info.etag}"',
        "ChecksumAlgorithm": list(info.checksums),
        "ChecksumType": info.checksum_type if info.checksums else None,
        "Size": info.size,
        "Owner": OWNER if owner else None,
        "StorageClass": info.attributes.headers.get("x-amz-storage-class", "STANDARD"),
    }


def _encoder(request: S3Request) -> xml.Encoder:
    encoding = request.query.get("encoding-type")
    if encoding not in (None, "url"):
        raise InvalidArgument("Invalid Encoding Method specified in Request", "encoding-type", encoding or "")
    return xml.url_encoded if encoding else str


def _whole_number(request: S3Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None or text == "":
        return default
    number = whole_number(text)
    if number is None or number > 2**31 - 1:
        raise InvalidArgument(f"Argument {name} must be an integer between 0 and 2147483647", name, text)
    return number


def _to_token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode("utf-8")).decode("ascii")


def _from_token(token: str | None) -> str:
    if token is None:
        return ""
    try:
        return base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(
            "The continuation token provided is incorrect", "continuation-token", token
        ) from error
