"""Buckets through boto3, and the pages of their listings."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.handlers import validate_bucket_name

from tests.contract.conftest import LocalServer


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    code: str = error.value.response["Error"]["Code"]
    return code


def new_name() -> str:
    return f"test-{uuid.uuid4().hex[:16]}"


def test_a_bucket_lives_and_dies(s3: Any) -> None:
    name = new_name()
    with pytest.raises(ClientError) as error:
        s3.head_bucket(Bucket=name)
    assert code_of(error) == "404"
    s3.create_bucket(Bucket=name)
    s3.get_waiter("bucket_exists").wait(Bucket=name)
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)
    assert name in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=name, Key="k", Body=b"")
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=name)
    assert code_of(error) == "BucketNotEmpty"
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)
    s3.get_waiter("bucket_not_exists").wait(Bucket=name)


def test_creating_again_is_fine_in_us_east_1_only(s3: Any) -> None:
    name = new_name()
    s3.create_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    elsewhere = {"Bucket": new_name(), "CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}
    s3.create_bucket(**elsewhere)
    assert s3.get_bucket_location(Bucket=elsewhere["Bucket"])["LocationConstraint"] == "eu-central-1"
    with pytest.raises(ClientError) as error:
        s3.create_bucket(**elsewhere)
    assert code_of(error) == "BucketAlreadyOwnedByYou"


@pytest.mark.parametrize("name", ["UPPER", "ab", "a..b", "192.168.1.1", "-lead", "xn--x", "x-s3alias", "a_b"])
def test_names_that_aws_refuses(server: Any, name: str) -> None:
    s3 = server.client("s3")
    # botocore checks some of the rules itself; the server must hold all of them
    s3.meta.events.unregister("before-parameter-build.s3", validate_bucket_name)
    with pytest.raises(ClientError) as error:
        s3.create_bucket(Bucket=name)
    assert code_of(error) == "InvalidBucketName"


def test_buckets_that_are_not_there(s3: Any) -> None:
    for call in (
        lambda: s3.list_objects_v2(Bucket="no-such-bucket-here"),
        lambda: s3.put_object(Bucket="no-such-bucket-here", Key="k"),
        lambda: s3.delete_bucket(Bucket="no-such-bucket-here"),
        lambda: s3.delete_object(Bucket="no-such-bucket-here", Key="k"),
        lambda: s3.create_multipart_upload(Bucket="no-such-bucket-here", Key="k"),
        lambda: s3.delete_objects(Bucket="no-such-bucket-here", Delete={"Objects": [{"Key": "k"}]}),
    ):
        with pytest.raises(ClientError) as error:
            call()
        assert code_of(error) == "NoSuchBucket"
        details: Any = error.value.response["Error"]
        assert details["BucketName"] == "no-such-bucket-here"


KEYS = [*(f"{folder}/{number}" for folder in ("a", "b", "c") for number in range(5)), "top"]


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


@pytest.mark.parametrize("version", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_every_key_is_on_exactly_one_page(s3: Any, filled: str, version: str, size: int) -> None:
    pages = list(s3.get_paginator(version).paginate(Bucket=filled, PaginationConfig={"PageSize": size}))
    assert [each["Key"] for page in pages for each in page.get("Contents", [])] == KEYS
    assert all(len(page.get("Contents", [])) <= size for page in pages)
    assert [page["IsTruncated"] for page in pages] == [True] * (len(pages) - 1) + [False]


@pytest.mark.parametrize("version", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_folders_are_rolled_up_once(s3: Any, filled: str, version: str, size: int) -> None:
    pages = list(
        s3.get_paginator(version).paginate(Bucket=filled, Delimiter="/", PaginationConfig={"PageSize": size})
    )
    assert [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])] == ["a/", "b/", "c/"]
    assert [each["Key"] for page in pages for each in page.get("Contents", [])] == ["top"]


def test_prefix_start_and_what_a_listing_says(s3: Any, filled: str) -> None:
    page = s3.list_objects_v2(Bucket=filled, Prefix="b/", StartAfter="b/2", FetchOwner=True)
    assert [each["Key"] for each in page["Contents"]] == ["b/3", "b/4"]
    assert (page["KeyCount"], page["StartAfter"], page["Prefix"]) == (2, "b/2", "b/")
    listed = page["Contents"][0]
    head = s3.head_object(Bucket=filled, Key="b/3")
    assert (listed["ETag"], listed["Size"], listed["LastModified"]) == (head["ETag"], 3, head["LastModified"])
    assert (listed["StorageClass"], listed["ChecksumAlgorithm"]) == ("STANDARD", ["CRC32"])
    assert "Owner" in listed
    assert s3.list_objects_v2(Bucket=filled, MaxKeys=0)["KeyCount"] == 0


def test_arguments_that_cannot_be(s3: Any, filled: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket=filled, ContinuationToken="not one of ours")
    assert code_of(error) == "InvalidArgument"
    with pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket=filled, MaxKeys=-1)
    assert code_of(error) == "InvalidArgument"


def test_many_are_deleted_at_once(s3: Any, filled: str) -> None:
    wanted = [{"Key": "a/0"}, {"Key": "absent"}, {"Key": "b/0", "ETag": '"other"'}]
    answer = s3.delete_objects(Bucket=filled, Delete={"Objects": wanted})
    assert [each["Key"] for each in answer["Deleted"]] == ["a/0", "absent"]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("b/0", "PreconditionFailed")]
    quiet = s3.delete_objects(Bucket=filled, Delete={"Objects": [{"Key": "a/1"}], "Quiet": True})
    assert "Deleted" not in quiet
    left = [each["Key"] for each in s3.list_objects_v2(Bucket=filled)["Contents"]]
    assert left == [key for key in KEYS if key not in ("a/0", "a/1")]


def test_a_body_that_is_no_request(s3: Any, filled: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.delete_objects(Bucket=filled, Delete={"Objects": []})
    assert code_of(error) == "MalformedXML"


def test_a_bucket_is_in_the_servers_region(start_server: Callable[..., LocalServer]) -> None:
    s3 = start_server("--region", "eu-central-1").client("s3")
    s3.create_bucket(Bucket="local")
    assert s3.get_bucket_location(Bucket="local")["LocationConstraint"] == "eu-central-1"
