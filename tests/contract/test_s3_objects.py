"""Objects through boto3: what is put is what is got, whatever the key, and wrong bytes are refused."""

from __future__ import annotations

import base64
import datetime
import hashlib
import http.client
import io
import os
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

WEIRD_KEYS = [
    "../x",
    "a/../b",
    ".",
    "..",
    "a//b",
    "/leading",
    "trailing/",
    "?",
    "+",
    "a b",
    "%41",
    "a%2Fb",
    "a&b<c>\"d'",
    "ü/ñ/漢字/🐘",
    "line\nbreak\ttab",
    "k" * 1024,
]


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    code: str = error.value.response["Error"]["Code"]
    return code


@pytest.mark.parametrize("key", WEIRD_KEYS)
def test_any_text_is_a_key(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_keys_never_become_paths(s3: Any, bucket: str, server: Any) -> None:
    s3.put_object(Bucket=bucket, Key="../../../escape-proof-name", Body=b"x")
    s3.put_object(Bucket=bucket, Key="plain-proof-name", Body=b"x")
    assert not list(server.data.parent.rglob("*proof-name*"))


def test_a_key_of_1025_bytes_is_refused(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="ü" * 512 + "k", Body=b"")
    assert code_of(error) == "KeyTooLongError"


def test_what_goes_with_an_object_comes_back(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"hello",
        ContentType="text/plain",
        CacheControl="no-cache",
        ContentDisposition="attachment",
        ContentEncoding="gzip",
        ContentLanguage="de",
        Metadata={"run": "1", "with_underscore": "x"},
        Tagging="a=1&b=two%20words",
    )
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == b"hello"
    assert answer["ETag"] == f'"{hashlib.md5(b"hello", usedforsecurity=False).hexdigest()}"'
    assert answer["Metadata"] == {"run": "1", "with_underscore": "x"}
    described = ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage")
    assert [answer[name] for name in described] == ["text/plain", "no-cache", "attachment", "gzip", "de"]
    assert answer["ContentLength"] == 5
    assert answer["TagCount"] == 2
    tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "two words"}]
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"]) == (5, answer["ETag"])
    assert (head["LastModified"], head["Metadata"]) == (answer["LastModified"], answer["Metadata"])


def test_tags_can_be_replaced_and_removed(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=1")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "b", "Value": "2"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "b", "Value": "2"}]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []


def test_an_object_is_overwritten_and_deleted(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b""
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_object(Bucket=bucket, Key="k")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k")
    assert code_of(error) == "NoSuchKey"
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="k")
    assert code_of(error) == "404"


@pytest.mark.parametrize(
    ("asked", "got", "content_range"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=3-5", b"345", "bytes 3-5/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=7-99", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
    ],
)
def test_a_range_is_got(s3: Any, bucket: str, asked: str, got: bytes, content_range: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    answer = s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert answer["Body"].read() == got
    assert answer["ContentRange"] == content_range
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    head = s3.head_object(Bucket=bucket, Key="k", Range=asked)
    assert head["ContentLength"] == len(got)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=-0", "bytes=99-100"])
def test_a_range_outside_is_refused(s3: Any, bucket: str, asked: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert code_of(error) == "InvalidRange"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 416


def test_a_range_that_nobody_understands_gets_everything(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    answer = s3.get_object(Bucket=bucket, Key="k", Range="lines=1-2")
    assert answer["Body"].read() == b"0123456789"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_conditions_on_reading(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    earlier = modified - datetime.timedelta(days=9000)
    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=etag)["Body"].read() == b"x"
    for condition in ({"IfNoneMatch": etag}, {"IfModifiedSince": modified}):
        with pytest.raises(ClientError) as error:
            s3.get_object(Bucket=bucket, Key="k", **condition)
        assert code_of(error) == "304"
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", IfMatch='"other"')
    assert code_of(error) == "PreconditionFailed"
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", IfUnmodifiedSince=earlier)
    assert code_of(error) == "PreconditionFailed"
    # RFC 9110: an ETag that fits outweighs a date that does not
    s3.get_object(Bucket=bucket, Key="k", IfMatch=etag, IfUnmodifiedSince=earlier)


def test_conditions_on_writing(s3: Any, bucket: str) -> None:
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    for condition, code in (
        ({"Key": "k", "IfNoneMatch": "*"}, "PreconditionFailed"),
        ({"Key": "k", "IfMatch": '"other"'}, "PreconditionFailed"),
        ({"Key": "absent", "IfMatch": first}, "NoSuchKey"),
    ):
        with pytest.raises(ClientError) as error:
            s3.put_object(Bucket=bucket, Body=b"2", **condition)
        assert code_of(error) == code
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=first)
    with pytest.raises(ClientError) as error:
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=first)
    assert code_of(error) == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"


def test_answers_can_be_overridden(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    answer = s3.get_object(
        Bucket=bucket, Key="k", ResponseContentType="text/csv", ResponseContentDisposition="attachment"
    )
    assert (answer["ContentType"], answer["ContentDisposition"]) == ("text/csv", "attachment")


# CRC64NVME: from the catalogue's check value of "123456789", 0xAE8B14860A799888.
CHECKSUMS = {
    "CRC32": base64.b64encode(bytes.fromhex("cbf43926")).decode(),
    "CRC32C": base64.b64encode(bytes.fromhex("e3069283")).decode(),
    "CRC64NVME": base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode(),
    "SHA1": base64.b64encode(hashlib.sha1(b"123456789", usedforsecurity=False).digest()).decode(),
    "SHA256": base64.b64encode(hashlib.sha256(b"123456789").digest()).decode(),
}


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_checksums_are_verified_kept_and_given(s3: Any, bucket: str, algorithm: str) -> None:
    name, value = f"Checksum{algorithm}", CHECKSUMS[algorithm]
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"123456789", **{name: value})
    assert (put[name], put["ChecksumType"]) == (value, "FULL_OBJECT")
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[name] == value
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"123456780", **{name: value})
    assert code_of(error) == "BadDigest"
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"123456789", **{name: "AAAA"})
    assert code_of(error) == "InvalidRequest"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"123456789"


def test_a_wrong_md5_is_refused(s3: Any, bucket: str) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    for md5, code in ((wrong, "BadDigest"), ("no base64!", "InvalidDigest")):
        with pytest.raises(ClientError) as error:
            s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5=md5)
        assert code_of(error) == code
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def send(server: Any, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_bytes_other_than_the_signed_ones_are_refused(server: Any, s3: Any, bucket: str) -> None:
    headers = {"x-amz-content-sha256": hashlib.sha256(b"signed").hexdigest()}
    status, answer = send(server, "PUT", f"/{bucket}/k", b"forged", headers)
    assert (status, b"<Code>XAmzContentSHA256Mismatch</Code>" in answer) == (400, True)
    assert send(server, "PUT", f"/{bucket}/k", b"signed", headers)[0] == 200


def chunked(payload: bytes, size: int, crc32: str) -> bytes:
    chunks = [payload[at : at + size] for at in range(0, len(payload), size)]
    body = b"".join(b"%x;chunk-signature=00\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return body + b"0\r\nx-amz-checksum-crc32:" + crc32.encode() + b"\r\n\r\n"


def test_chunks_with_a_checksum_behind_them(server: Any, s3: Any, bucket: str) -> None:
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "9",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    right = CHECKSUMS["CRC32"]
    assert send(server, "PUT", f"/{bucket}/k", chunked(b"123456789", 4, right), headers)[0] == 200
    answer = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert answer["Body"].read() == b"123456789"
    assert answer["ChecksumCRC32"] == right
    assert "ContentEncoding" not in answer
    for body, code in (
        (chunked(b"123456780", 4, right), b"BadDigest"),
        (chunked(b"12345678", 4, right), b"IncompleteBody"),
        (chunked(b"123456789", 4, right)[:-40], b"IncompleteBody"),
        (b"not chunked at all\r\n", b"InvalidRequest"),
    ):
        status, text = send(server, "PUT", f"/{bucket}/k", body, headers)
        assert (status, b"<Code>%s</Code>" % code in text) == (400, True), text
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"123456789"


def test_a_big_object_streams_both_ways(s3: Any, bucket: str) -> None:
    body = os.urandom(5 * 1024 * 1024 + 17)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    part = s3.get_object(Bucket=bucket, Key="k", Range="bytes=1000000-4000000")["Body"].read()
    assert part == body[1_000_000:4_000_001]


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls_work_until_they_expire(server: Any, bucket: str, version: str) -> None:
    s3 = server.client("s3", signature_version=version)
    parameters = {"Bucket": bucket, "Key": "a b+c"}
    s3.put_object(**parameters, Body=b"x")

    def follow(method: str, expires_in_s: int, body: bytes = b"") -> tuple[int, bytes]:
        operation = f"{method.lower()}_object"
        url = s3.generate_presigned_url(operation, Params=parameters, ExpiresIn=expires_in_s)
        return send(server, method, url.removeprefix(server.url), body, {})

    assert follow("GET", 60) == (200, b"x")
    assert follow("PUT", 60, b"new")[0] == 200
    assert s3.get_object(**parameters)["Body"].read() == b"new"
    status, answer = follow("GET", -10)
    assert (status, b"<Code>AccessDenied</Code>" in answer) == (403, True)


def test_virtual_hosts_name_buckets(server: Any, s3: Any, bucket: str) -> None:
    for host in (f"{bucket}.localhost", f"{bucket}.s3.us-east-1.amazonaws.com", f"{bucket}.s3.amazonaws.com"):
        assert send(server, "PUT", "/folder/k", host.encode(), {"host": host})[0] == 200
        assert s3.get_object(Bucket=bucket, Key="folder/k")["Body"].read() == host.encode()
    status, listing = send(server, "GET", "/?list-type=2", b"", {"host": f"{bucket}.localhost:4566"})
    assert (status, b"<Key>folder/k</Key>" in listing) == (200, True)
    assert b"ListAllMyBucketsResult" in send(server, "GET", "/", b"", {"host": "localhost:4566"})[1]


def test_a_refusal_before_the_body_ends_the_connection(server: Any, s3: Any) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.putrequest("PUT", "/no-such-bucket-here/k")
    connection.putheader("Content-Length", str(100 * 1024 * 1024))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    answer = connection.getresponse()  # without a single byte of the body
    assert (answer.status, answer.getheader("connection")) == (404, "close")
    assert b"<Code>NoSuchBucket</Code>" in answer.read()
    connection.close()


def test_boto3_files_of_two_megabytes_wait_for_the_word(s3: Any, bucket: str) -> None:
    body = os.urandom(2 * 1024 * 1024)
    s3.upload_fileobj(io.BytesIO(body), bucket, "k")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket="no-such-bucket-here", Key="k", Body=body)
    assert code_of(error) == "NoSuchBucket"


@pytest.mark.parametrize(
    ("call", "arguments", "named"),
    [
        ("get_object_acl", {"Key": "k"}, "acl"),
        ("get_bucket_acl", {}, "acl"),
        ("get_bucket_policy", {}, "policy"),
        ("list_object_versions", {}, "versions"),
        ("put_object", {"Key": "k", "ACL": "public-read"}, "public-read"),
        ("put_object", {"Key": "k", "WebsiteRedirectLocation": "/x"}, "x-amz-website-redirect-location"),
        ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}, "versioning"),
    ],
)
def test_what_is_not_there_is_refused_by_name(
    s3: Any, bucket: str, call: str, arguments: dict[str, Any], named: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    with pytest.raises(ClientError) as error:
        getattr(s3, call)(Bucket=bucket, **arguments)
    assert code_of(error) == "NotImplemented"
    assert named in error.value.response["Error"]["Message"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"
