"""Clients that mean no good: whatever arrives is answered with an error of AWS's or a closed connection.

Never with a 500, never by the server's end, never by a file outside its directory.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.conftest import LocalServer, named_below
from tests.contract.hostile import FUZZ, TARGET, http, still_well

__all__ = ["http", "still_well"]


# Keys


KEYS = [
    "../../../../escape",
    "/etc/passwd",
    "a/../../b",
    "..",
    ".",
    "//",
    "a//b/",
    "\x00nul\x00",
    "\r\nSet-Cookie: a=b",
    "%2e%2e%2f",
    "\x7f\x01\x1f\t\n",
    "ﷺ" * 300,
    "\u202e\ufeff\U0010ffff",
    "con|<>\"'`$(id);&*?\\",
    " ",
]


@pytest.mark.parametrize("key", KEYS)
def test_any_text_is_a_key_and_no_path(s3: Any, bucket: str, server: LocalServer, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    listed = s3.list_objects_v2(Bucket=bucket, EncodingType="url")["Contents"]
    assert [each["Key"] for each in listed] == [quote(key, safe="/")]
    names = {path.name for path in (server.data / "s3").rglob("*") if path.is_file()}
    assert all(re.fullmatch(r"[0-9a-f]{32}|index\.sqlite3(-wal|-shm)?|lock", name) for name in names)
    s3.delete_object(Bucket=bucket, Key=key)


@FUZZ
@given(key=st.binary(min_size=1, max_size=40))
def test_every_byte_in_a_key(http: httpx.Client, server: LocalServer, key: bytes) -> None:
    path = "/hostile-keys/" + "".join(f"%{byte:02x}" for byte in key)
    http.put("/hostile-keys")
    answer = http.put(path, content=b"1")
    try:
        key.decode("utf-8")
        assert answer.status_code == 200
        assert http.get(path).content == b"1"
    except UnicodeDecodeError:
        assert (answer.status_code, "InvalidURI" in answer.text) == (400, True)


def test_a_job_does_not_write_where_a_key_leads(server: LocalServer, tmp_path: Path) -> None:
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    bucket = f"hostile-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    names = []
    for number, key in enumerate(
        ["in/../../../../escape", "in/..", "in/x\x00y", "in/" + "n" * 300, "in/a/./../../b"]
    ):
        prefix = f"case{number}/in"
        s3.put_object(Bucket=bucket, Key=f"case{number}/{key}", Body=b"x")
        names.append(f"hostile-{uuid.uuid4().hex[:12]}")
        sagemaker.create_training_job(
            TrainingJobName=names[-1],
            AlgorithmSpecification={
                "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/digits:1",
                "TrainingInputMode": "File",
            },
            RoleArn="arn:aws:iam::123456789012:role/sagemaker",
            InputDataConfig=[
                {
                    "ChannelName": "train",
                    "DataSource": {
                        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{prefix}"}
                    },
                }
            ],
            OutputDataConfig={"S3OutputPath": f"s3://{bucket}/models"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
    for name in names:
        waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
        with pytest.raises(Exception, match="terminal failure state"):
            waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 600})
        reason = sagemaker.describe_training_job(TrainingJobName=name)["FailureReason"]
        assert reason.startswith("ClientError"), reason
    assert not named_below(server.data.parent, "escape")


# Bodies


XML = [
    b"",
    b"<",
    b"\xff\xfe\x00",
    b"<Delete>",
    b"<Delete/>",
    b'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>',
    b'<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete/>',
    '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE d [<!ENTITY a "b">]><Delete>&a;</Delete>'.encode(
        "utf-16"
    ),
    b'<?xml version="1.0" encoding="cp037"?><Delete/>',
    b"<Delete><Object></Object></Delete>",
    b"<Delete><Object><Key>a</Key><VersionId>1</VersionId></Object></Delete>",
    b"<a>" * 500_000,
    b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
    b"<Delete xmlns='x'><Object><Key>&#0;</Key></Object></Delete>",
    b"<Delete>" + b"x" * (5 * 2**20),
]


@pytest.mark.parametrize("body", XML, ids=range(len(XML)))
@pytest.mark.parametrize("query", ["?delete", "/key?tagging", "/key?uploadId=x"])
def test_xml(http: httpx.Client, s3: Any, bucket: str, body: bytes, query: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"1")
    method = "PUT" if "tagging" in query else "POST"
    answer = http.request(method, f"/{bucket}{query}", content=body)
    assert answer.status_code in (200, 400, 404), answer.text[:500]
    assert b"aaaa" not in answer.content
    assert b"root:" not in answer.content


JSON = [
    b"",
    b"null",
    b"[]",
    b"\xff\xfe{}",
    b"{" * 200_000,
    b'{"ModelName":' * 50_000,
    b'{"ModelName": "\\ud800"}',
    '{"ModelName": "ü\x00"}'.encode(),
    b'{"ModelName": "' + b"a-" * 100_000 + b'"}',
    b'{"ModelName": NaN}',
    b'{"ModelName": ' + b"9" * 10_000 + b"}",
    b'{"MaxResults": 1e999}',
    b'{"EnableNetworkIsolation": 1}',
    b'{"Tags": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"PrimaryContainer": {"Environment": {"' + b"k" * 5000 + b'": "v"}}}',
    b'{"a": 1, ' * 3,
]


@pytest.mark.parametrize("body", JSON, ids=range(len(JSON)))
@pytest.mark.parametrize("operation", ["CreateModel", "ListModels", "AddTags"])
def test_json(http: httpx.Client, body: bytes, operation: str) -> None:
    answer = http.post("/", content=body, headers=TARGET | {"X-Amz-Target": f"SageMaker.{operation}"})
    assert answer.status_code in ((200, 400) if operation == "ListModels" else (400,)), answer.text[:500]
    if answer.status_code == 400:
        assert json.loads(answer.content)["__type"] in ("SerializationException", "ValidationException")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    "MaxResults",
    "NextToken",
    "SortBy",
    "NameContains",
    "CreationTimeAfter",
    "StatusEquals",
    "SortOrder",
]


@FUZZ
@given(fields=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4))
@pytest.mark.parametrize("operation", ["ListTrainingJobs", "ListEndpoints", "ListModelPackages"])
def test_lists_of_anything(http: httpx.Client, operation: str, fields: dict[str, Any]) -> None:
    headers = TARGET | {"X-Amz-Target": f"SageMaker.{operation}"}
    answer = http.post("/", content=json.dumps(fields).encode(), headers=headers)
    assert answer.status_code in (200, 400), (fields, answer.text)


@FUZZ
@given(events=st.lists(st.fixed_dictionaries({"timestamp": json_values, "message": json_values}), max_size=3))
def test_logs_of_anything(http: httpx.Client, server: LocalServer, events: list[Any]) -> None:
    headers = TARGET | {"X-Amz-Target": "Logs_20140328.PutLogEvents"}
    body = {"logGroupName": "hostile", "logStreamName": "s", "logEvents": events}
    answer = http.post("/", content=json.dumps(body).encode(), headers=headers)
    assert answer.status_code in (200, 400), (events, answer.text)


@FUZZ
@given(
    token=st.text(max_size=60)
    | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode()),
    number=st.text(alphabet="0123456789-+.e²", max_size=30) | st.just("9" * 6000),
)
def test_queries_of_s3(http: httpx.Client, bucket: str, token: str, number: str) -> None:
    for query in (
        {"list-type": "2", "continuation-token": token},
        {"list-type": "2", "max-keys": number},
        {"uploads": "", "key-marker": token, "max-uploads": number},
        {"prefix": token, "delimiter": token, "marker": token, "encoding-type": "url"},
        {"versionId": token},
        {token: number},
    ):
        answer = http.get(f"/{bucket}", params=query)
        assert answer.status_code in (200, 400, 404, 501), (query, answer.text)


def test_a_part_without_a_number(http: httpx.Client, bucket: str) -> None:
    for headers in ({}, {"x-amz-copy-source": f"/{bucket}/k"}):
        answer = http.put(f"/{bucket}/k?uploadId=x", content=b"1", headers=headers)
        assert (answer.status_code, "Part number must be" in answer.text) == (400, True)


HEADERS = {
    "Range": [
        "bytes=0-",
        "bytes=-",
        "bytes=" + "9" * 6000 + "-",
        "bytes=-" + "9" * 6000,
        "bytes=5-1",
        "lines=1-2",
    ],
    "If-Modified-Since": ["yesterday", "Mon, 99 Foo 2020 99:99:99 GMT", "0" * 5000],
    "x-amz-checksum-crc32": ["x", "AAAA", "=" * 100],
    "Content-MD5": ["x", "AAAA", "ü"],
    "x-amz-content-sha256": ["x", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-nonsense"],
    "x-amz-decoded-content-length": ["-1", "9" * 6000, "x"],
    "x-amz-trailer": ["x-amz-checksum-crc32", "nonsense", ","],
    "x-amz-copy-source": ["", "/", "%", "../../etc/passwd", "/a", "a/b?versionId=", "%ff%fe/x"],
    "x-amz-tagging": ["a=b&a=c", "=", "%", "&" * 100, "a" * 200],
    "x-amz-storage-class": ["日本"],
    "x-amz-meta-name": ["日本", "a" * 3000],
    "x-amz-metadata-directive": ["x"],
    "Expect": ["100-continue", "nonsense"],
    "Transfer-Encoding": ["chunked"],
}


@pytest.mark.parametrize(
    ("header", "value"), [(name, value) for name, values in HEADERS.items() for value in values]
)
def test_headers_of_s3(http: httpx.Client, s3: Any, bucket: str, header: str, value: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    for method in ("GET", "PUT", "DELETE"):
        made = http.build_request(method, f"/{bucket}/k", content=b"12345" if method == "PUT" else None)
        made.headers = httpx.Headers([*made.headers.raw, (header.encode(), value.encode())])
        answer = http.send(made)
        assert answer.status_code in (200, 204, 206, 304, 400, 404, 411, 412, 416, 501), (method, answer.text)
        assert http.get(f"/{bucket}/k").status_code in (200, 404)


@pytest.mark.parametrize("name", ["content-type", "content-disposition", "cache-control", "expires"])
def test_no_header_is_smuggled_into_an_answer(http: httpx.Client, s3: Any, bucket: str, name: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    for value in ("a\r\nSet-Cookie: x=y", "\n", "a\x00b", "\x7f"):
        answer = http.get(f"/{bucket}/k", params={f"response-{name}": value})
        assert answer.status_code == 400
        assert "set-cookie" not in answer.headers
    answer = http.get(f"/{bucket}/k", params={f"response-{name}": 'attachment; filename="日本"'})
    assert answer.status_code == 200


CHUNKED = [
    b"",
    b"5\r\nhello",
    b"5;chunk-signature=x\r\nhello\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"zz\r\n",
    b"F" * 5000 + b"\r\n",
    b"a" * 40_000,
    b"5\r\nhello world\r\n0\r\n\r\n",
    b"0\r\n" + b"x: y\r\n" * 1000 + b"\r\n",
    b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
]


@pytest.mark.parametrize("body", CHUNKED, ids=range(len(CHUNKED)))
def test_chunks_cut_short_or_lying(http: httpx.Client, bucket: str, server: LocalServer, body: bytes) -> None:
    for mode in ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        headers = {
            "x-amz-content-sha256": mode,
            "x-amz-decoded-content-length": "5",
            "Content-Encoding": "aws-chunked",
        }
        answer = http.put(f"/{bucket}/chunked", content=body, headers=headers)
        assert answer.status_code in (200, 400, 403, 501)
        if answer.status_code != 200:
            assert http.head(f"/{bucket}/chunked").status_code == 404
    assert not list((server.data / "s3" / "tmp").iterdir())
