"""Operations on multipart uploads."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

from sagemaker_local.s3 import checksums, xml
from sagemaker_local.s3.bodies import IncomingBlob, algorithm_named, read_xml_body
from sagemaker_local.s3.conditions import write_condition
from sagemaker_local.s3.errors import InvalidArgument, InvalidRequest, MalformedXML
from sagemaker_local.s3.headers import attributes_from, checksum_headers, write_headers
from sagemaker_local.s3.listing import common_prefix
from sagemaker_local.s3.multipart import PART_NUMBER_MAXIMUM, check_part_number
from sagemaker_local.s3.numbers import whole_number
from sagemaker_local.s3.records import Blob, PartInfo
from sagemaker_local.s3.request import Response, S3Request
from sagemaker_local.s3.threads import in_thread

PAGE_MAXIMUM = 1000
CHECKSUM_ELEMENTS = {f"Checksum{algorithm}": algorithm for algorithm in checksums.ALGORITHMS}


async def create_multipart_upload(request: S3Request) -> Response:
    """CreateMultipartUpload."""
    algorithm = algorithm_named(request.headers.get("x-amz-checksum-algorithm"))
    upload = await in_thread(
        request.store.uploads.create,
        request.bucket,
        request.key,
        attributes_from(request),
        algorithm,
        request.headers.get("x-amz-checksum-type"),
    )
    content = {"Bucket": request.bucket, "Key": request.key, "UploadId": upload.upload_id}
    response = Response.xml(xml.document("InitiateMultipartUploadResult", content))
    if algorithm:
        response.headers["x-amz-checksum-algorithm"] = algorithm
        response.headers["x-amz-checksum-type"] = upload.checksum_type
    return response


async def upload_part(request: S3Request) -> Response:
    """UploadPart."""
    number = check_part_number(request.query.get("partNumber", ""))
    upload_id = request.query["uploadId"]
    # Looked up first: a part for an upload that is gone is refused before its body is sent.
    upload = await in_thread(request.store.uploads.get, request.bucket, request.key, upload_id)
    incoming = IncomingBlob(request, upload.checksum_algorithm)

    def commit(blob: Blob) -> PartInfo:
        return request.store.uploads.put_part(request.bucket, request.key, upload_id, number, blob)

    part = await incoming.receive(commit)
    return Response(headers={"etag": f'"{part.etag}"', **checksum_headers(part.checksums)})


async def complete_multipart_upload(request: S3Request) -> Response:
    """CompleteMultipartUpload."""
    root = xml.parse(await _completion_body(request), "CompleteMultipartUpload")
    listed = [_listed_part(element) for element in root.findall("Part")]
    if not 1 <= len(listed) <= PART_NUMBER_MAXIMUM:
        raise MalformedXML(f"between 1 and {PART_NUMBER_MAXIMUM} parts, not {len(listed)}")
    info = await in_thread(
        request.store.complete_upload,
        request.bucket,
        request.key,
        request.query["uploadId"],
        listed,
        write_condition(request.headers),
        _claimed_size(request),
        request.amz("checksum-"),
    )
    host = request.headers.get("host", "localhost")
    content: dict[str, xml.Value] = {
        "Location": f"http://{host}/{request.bucket}/{xml.url_encoded(request.key)}",
        "Bucket": request.bucket,
        "Key": request.key,
        "ETag": f'"{info.etag}"',
        "ChecksumType": info.checksum_type if info.checksums else None,
        **{f"Checksum{algorithm}": value for algorithm, value in info.checksums.items()},
    }
    response = Response.xml(xml.document("CompleteMultipartUploadResult", content))
    response.headers |= {
        name: value for name, value in write_headers(info).items() if name.startswith("x-amz-server-side")
    }
    return response


async def abort_multipart_upload(request: S3Request) -> Response:
    """AbortMultipartUpload."""
    await in_thread(request.store.uploads.abort, request.bucket, request.key, request.query["uploadId"])
    return Response(204)


async def list_parts(request: S3Request) -> Response:
    """ListParts."""
    after = _number(request, "part-number-marker", 0)
    maximum = min(_number(request, "max-parts", PAGE_MAXIMUM), PAGE_MAXIMUM)
    uploads = request.store.uploads
    upload = await in_thread(uploads.get, request.bucket, request.key, request.query["uploadId"])
    found = await in_thread(uploads.parts, request.bucket, request.key, upload.upload_id, after, maximum + 1)
    page = found[:maximum]
    content: dict[str, xml.Value] = {
        "Bucket": request.bucket,
        "Key": request.key,
        "UploadId": upload.upload_id,
        "StorageClass": upload.attributes.headers.get("x-amz-storage-class", "STANDARD"),
        "PartNumberMarker": after,
        "NextPartNumberMarker": page[-1].number if page else 0,
        "MaxParts": maximum,
        "IsTruncated": len(found) > len(page),
        "ChecksumAlgorithm": upload.checksum_algorithm,
        "ChecksumType": upload.checksum_type if upload.checksum_algorithm else None,
        "Part": [
            {
                "PartNumber": part.number,
                "LastModified": part.last_modified,
                "ETag": f'"{part.etag}"',
                "Size": part.segment.size,
                **{f"Checksum{algorithm}": value for algorithm, value in part.checksums.items()},
            }
            for part in page
        ],
    }
    return Response.xml(xml.document("ListPartsResult", content))


async def list_multipart_uploads(request: S3Request) -> Response:
    """ListMultipartUploads."""
    query = request.query
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    maximum = min(_number(request, "max-uploads", PAGE_MAXIMUM), PAGE_MAXIMUM)
    encode: xml.Encoder = xml.url_encoded if query.get("encoding-type") == "url" else str
    entries: list[xml.Value] = []
    prefixes: list[str] = []
    last_key, last_id, truncated = "", "", False
    passed_marker = not id_marker
    for upload in await in_thread(request.store.uploads.under_way, request.bucket):
        if upload.key == marker and id_marker and not passed_marker:
            passed_marker = upload.upload_id == id_marker
            continue
        if (
            not upload.key.startswith(prefix)
            or upload.key < marker
            or (upload.key == marker and not id_marker)
        ):
            continue
        rolled_up = common_prefix(upload.key, prefix, delimiter)
        if rolled_up is not None and (rolled_up in prefixes or rolled_up == marker):
            continue
        if len(entries) + len(prefixes) == maximum:
            truncated = True
            break
        if rolled_up is not None:
            prefixes.append(rolled_up)
            last_key, last_id = rolled_up, ""
            continue
        last_key, last_id = upload.key, upload.upload_id
        entries.append(
            {
                "Key": encode(upload.key),
                "UploadId": upload.upload_id,
                "StorageClass": upload.attributes.headers.get("x-amz-storage-class", "STANDARD"),
                "Initiated": upload.initiated,
                "ChecksumAlgorithm": upload.checksum_algorithm,
                "ChecksumType": upload.checksum_type if upload.checksum_algorithm else None,
            }
        )
    content: dict[str, xml.Value] = {
        "Bucket": request.bucket,
        "KeyMarker": encode(marker),
        "UploadIdMarker": id_marker,
        "NextKeyMarker": encode(last_key) if truncated else None,
        "NextUploadIdMarker": last_id if truncated else None,
        "Prefix": encode(prefix),
        "Delimiter": encode(delimiter) if delimiter else None,
        "EncodingType": query.get("encoding-type"),
        "MaxUploads": maximum,
        "IsTruncated": truncated,
        "Upload": entries,
        "CommonPrefixes": [{"Prefix": encode(each)} for each in prefixes],
    }
    return Response.xml(xml.document("ListMultipartUploadsResult", content))


async def _completion_body(request: S3Request) -> bytes:
    """The list of parts; the checksums beside it are of the object, not of this body."""
    of_object = {f"x-amz-checksum-{name}" for name in request.amz("checksum-")}
    of_body = {name: value for name, value in request.headers.items() if name not in of_object}
    request.headers, kept = of_body, request.headers
    try:
        return await read_xml_body(request)
    finally:
        request.headers = kept


def _listed_part(element: ElementTree.Element) -> tuple[int, str, Mapping[str, str]]:
    number, etag = xml.text_of(element, "PartNumber"), xml.text_of(element, "ETag")
    claimed = {
        CHECKSUM_ELEMENTS[child.tag]: child.text or "" for child in element if child.tag in CHECKSUM_ELEMENTS
    }
    return check_part_number(number), etag.strip().strip('"'), claimed


def _claimed_size(request: S3Request) -> int | None:
    header = request.headers.get("x-amz-mp-object-size")
    if header is None:
        return None
    size = whole_number(header)
    if size is None:
        raise InvalidRequest("The x-amz-mp-object-size header must be a number of bytes.")
    return size


def _number(request: S3Request, name: str, default: int) -> int:
    text = request.query.get(name) or str(default)
    number = whole_number(text)
    if number is None or number > 2**31 - 1:
        raise InvalidArgument(f"Argument {name} must be an integer between 0 and 2147483647", name, text)
    return number
