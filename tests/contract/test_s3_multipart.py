"""Multipart uploads and copies through boto3."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import zlib
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

MIB = 1024 * 1024


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    code: str = error.value.response["Error"]["Code"]
    return code


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def test_twenty_megabytes_by_transfer_manager(s3: Any, bucket: str) -> None:
    data = os.urandom(20 * MIB + 3)
    s3.upload_fileobj(
        io.BytesIO(data), bucket, "big", ExtraArgs={"Metadata": {"a": "b"}, "ContentType": "x/y"}
    )
    chunks = [data[at : at + 8 * MIB] for at in range(0, len(data), 8 * MIB)]
    head = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
    digest = md5(b"".join(bytes.fromhex(md5(chunk)) for chunk in chunks))
    assert head["ETag"] == f'"{digest}-3"'
    assert (head["Metadata"], head["ContentType"], head["ContentLength"]) == ({"a": "b"}, "x/y", len(data))
    composite = crc32(b"".join(base64.b64decode(crc32(chunk)) for chunk in chunks))
    assert (head["ChecksumCRC32"], head["ChecksumType"]) == (f"{composite}-3", "COMPOSITE")
    got = io.BytesIO()
    s3.download_fileobj(bucket, "big", got, Config=TransferConfig(multipart_chunksize=5 * MIB))
    assert got.getvalue() == data
    across = s3.get_object(Bucket=bucket, Key="big", Range=f"bytes={8 * MIB - 5}-{8 * MIB + 4}")
    assert across["Body"].read() == data[8 * MIB - 5 : 8 * MIB + 5]
    second = s3.get_object(Bucket=bucket, Key="big", PartNumber=2)
    assert (second["Body"].read(), second["PartsCount"]) == (chunks[1], 3)


def upload(
    s3: Any, bucket: str, key: str, parts: list[bytes], **arguments: Any
) -> tuple[str, list[dict[str, Any]]]:
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key, **arguments)["UploadId"]
    listed = []
    for number, body in enumerate(parts, 1):
        answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body)
        listed.append({"PartNumber": number, "ETag": answer["ETag"]})
    return upload_id, listed


def complete(
    s3: Any, bucket: str, key: str, upload_id: str, parts: list[dict[str, Any]], **arguments: Any
) -> Any:
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **arguments
    )


def test_nothing_is_seen_of_an_upload_before_it_is_complete(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    upload_id, parts = upload(s3, bucket, "k", [b"a" * 5 * MIB, b"b"])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    under_way = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [(each["Key"], each["UploadId"]) for each in under_way] == [("k", upload_id)]
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]
    assert [(each["PartNumber"], each["Size"], each["ETag"]) for each in listed] == [
        (1, 5 * MIB, parts[0]["ETag"]),
        (2, 1, parts[1]["ETag"]),
    ]
    complete(s3, bucket, "k", upload_id, parts)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"a" * 5 * MIB + b"b"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_part_sent_again_replaces_the_first(s3: Any, bucket: str) -> None:
    upload_id, _ = upload(s3, bucket, "k", [b"first"])
    again = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=1, Body=b"second")
    complete(s3, bucket, "k", upload_id, [{"PartNumber": 1, "ETag": again["ETag"]}])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"second"


def test_an_aborted_upload_is_gone(s3: Any, bucket: str) -> None:
    upload_id, parts = upload(s3, bucket, "k", [b"x"])
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id)
    for call in (
        lambda: s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id),
        lambda: s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=1, Body=b"x"),
        lambda: complete(s3, bucket, "k", upload_id, parts),
        lambda: s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id),
    ):
        with pytest.raises(ClientError) as error:
            call()
        assert code_of(error) == "NoSuchUpload"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_parts_that_do_not_fit_are_refused(s3: Any, bucket: str) -> None:
    upload_id, parts = upload(s3, bucket, "k", [b"small", b"x"])
    one, two = parts
    for listed, code in (
        ([one, two], "EntityTooSmall"),
        ([two, one], "InvalidPartOrder"),
        ([{**one, "ETag": '"' + "0" * 32 + '"'}], "InvalidPart"),
        ([{"PartNumber": 7, "ETag": one["ETag"]}], "InvalidPart"),
        ([{**one, "ChecksumCRC32": crc32(b"other")}], "InvalidPart"),
        ([], "MalformedXML"),
    ):
        with pytest.raises(ClientError) as error:
            complete(s3, bucket, "k", upload_id, listed)
        assert code_of(error) == code
    for number in (0, 10_001):
        with pytest.raises(ClientError) as error:
            s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=number, Body=b"")
        assert code_of(error) == "InvalidArgument"
    with pytest.raises(ClientError) as error:
        s3.upload_part(
            Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=1, Body=b"x", ChecksumCRC32=crc32(b"other")
        )
    assert code_of(error) == "BadDigest"
    complete(s3, bucket, "k", upload_id, [one])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"small"


def test_a_whole_objects_checksum_comes_from_its_parts(s3: Any, bucket: str) -> None:
    bodies = [os.urandom(5 * MIB), os.urandom(5 * MIB + 1), b"", b"end"]
    wanted = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
    upload_id, parts = upload(s3, bucket, "k", [*bodies[:2], bodies[3]], **wanted)
    with pytest.raises(ClientError) as error:
        complete(s3, bucket, "k", upload_id, parts, ChecksumCRC32=crc32(b"other"))
    assert code_of(error) == "BadDigest"
    with pytest.raises(ClientError) as error:
        complete(s3, bucket, "k", upload_id, parts, MpuObjectSize=1)
    assert code_of(error) == "InvalidRequest"
    answer = complete(s3, bucket, "k", upload_id, parts, ChecksumCRC32=crc32(b"".join(bodies)))
    assert (answer["ChecksumCRC32"], answer["ChecksumType"]) == (crc32(b"".join(bodies)), "FULL_OBJECT")


def test_completing_again_says_the_same(s3: Any, bucket: str) -> None:
    upload_id, parts = upload(s3, bucket, "k", [b"x"])
    first = complete(s3, bucket, "k", upload_id, parts)
    assert complete(s3, bucket, "k", upload_id, parts)["ETag"] == first["ETag"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"overwritten since")
    with pytest.raises(ClientError) as error:
        complete(s3, bucket, "k", upload_id, parts)
    assert code_of(error) == "NoSuchUpload"


def test_completing_can_be_conditional(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    upload_id, parts = upload(s3, bucket, "k", [b"x"])
    with pytest.raises(ClientError) as error:
        complete(s3, bucket, "k", upload_id, parts, IfNoneMatch="*")
    assert code_of(error) == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"there"


def test_uploads_and_parts_come_in_pages(s3: Any, bucket: str) -> None:
    upload_id, _ = upload(s3, bucket, "p", [b"1", b"2", b"3"])
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="p", UploadId=upload_id, PaginationConfig={"PageSize": 2}
    )
    assert [part["PartNumber"] for page in pages for part in page["Parts"]] == [1, 2, 3]
    ids = {s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in ("a", "a", "b", "c")}
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    )
    found = [each["UploadId"] for page in pages for each in page["Uploads"]]
    assert (len(found), set(found)) == (5, ids | {upload_id})


def test_a_copy_takes_bytes_and_what_goes_with_them(s3: Any, bucket: str) -> None:
    source = {"Bucket": bucket, "Key": "ü/a b+c?"}
    s3.put_object(**source, Body=b"x", ContentType="text/csv", Metadata={"a": "b"}, Tagging="t=1")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    s3.delete_object(**source)
    copy = s3.get_object(Bucket=bucket, Key="copy")
    assert (copy["Body"].read(), copy["ContentType"], copy["Metadata"]) == (b"x", "text/csv", {"a": "b"})
    assert copy["TagCount"] == 1
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource={"Bucket": bucket, "Key": "copy"},
        MetadataDirective="REPLACE",
        Metadata={"c": "d"},
    )
    replaced = s3.get_object(Bucket=bucket, Key="copy")
    assert (replaced["Body"].read(), replaced["Metadata"]) == (b"x", {"c": "d"})
    assert replaced["ContentType"] == "binary/octet-stream"
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "copy"})
    assert code_of(error) == "InvalidRequest"


def test_copies_can_be_conditional(s3: Any, bucket: str) -> None:
    source = {"Bucket": bucket, "Key": "source"}
    etag = s3.put_object(**source, Body=b"x")["ETag"]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, CopySourceIfMatch=etag)
    for condition in (
        {"CopySourceIfMatch": '"other"'},
        {"CopySourceIfNoneMatch": etag},
        {"IfNoneMatch": "*"},
    ):
        with pytest.raises(ClientError) as error:
            s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, **condition)
        assert code_of(error) == "PreconditionFailed"
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "absent"})
    assert code_of(error) == "NoSuchKey"


@pytest.mark.parametrize("parts", [[b"a" * 5 * MIB, b"end"], [b"one part only"]], ids=len)
def test_a_copy_of_a_multipart_object_has_the_md5_of_its_bytes(
    s3: Any, bucket: str, parts: list[bytes]
) -> None:
    upload_id, listed = upload(s3, bucket, "source", parts)
    complete(s3, bucket, "source", upload_id, listed)
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "source"})
    assert answer["CopyObjectResult"]["ETag"] == f'"{md5(b"".join(parts))}"'
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"".join(parts)


def test_parts_are_copied_from_ranges(s3: Any, bucket: str) -> None:
    data = os.urandom(6 * MIB)
    s3.put_object(Bucket=bucket, Key="source", Body=data)
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    listed = []
    for number, span in enumerate(("bytes=0-5242879", "bytes=5242880-6291455"), 1):
        answer = s3.upload_part_copy(
            Bucket=bucket,
            Key="k",
            UploadId=upload_id,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange=span,
        )
        listed.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    with pytest.raises(ClientError) as error:
        s3.upload_part_copy(
            Bucket=bucket,
            Key="k",
            UploadId=upload_id,
            PartNumber=3,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange="bytes=0-99999999",
        )
    assert code_of(error) == "InvalidRange"
    complete(s3, bucket, "k", upload_id, listed)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data
