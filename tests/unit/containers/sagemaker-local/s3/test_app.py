"""The ASGI application by hand: what no client of AWS's would send, and how errors go out."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from sagemaker_local.s3.app import create_app, failure
from sagemaker_local.s3.object_store import ObjectStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    opened = ObjectStore(tmp_path / "s3")
    opened.create_bucket("bucket")
    opened.put("bucket", "k", b"body")
    yield opened
    opened.close()


@pytest.fixture
async def http(store: ObjectStore) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(store))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4566") as client:
        yield client


def error_of(response: httpx.Response) -> dict[str, str | None]:
    root = ElementTree.fromstring(response.content)  # noqa: S314 - our own
    assert root.tag == "Error"
    return {child.tag: child.text for child in root}


async def test_an_error_names_the_thing(http: httpx.AsyncClient) -> None:
    response = await http.get("/bucket/absent%20key")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/xml")
    error = error_of(response)
    assert (error["Code"], error["Key"]) == ("NoSuchKey", "absent key")
    assert error["Resource"] == "/bucket/absent key"
    assert error["RequestId"] == response.headers["x-amz-request-id"]


async def test_a_head_has_no_body_but_the_length(http: httpx.AsyncClient) -> None:
    response = await http.head("/bucket/k")
    assert (response.status_code, response.content, response.headers["content-length"]) == (200, b"", "4")
    assert (await http.head("/bucket/absent")).content == b""


@pytest.mark.parametrize("path", ["/bucket/%ff", "/%ff/k"])
async def test_keys_that_are_no_text_are_refused(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path)
    assert (response.status_code, error_of(response)["Code"]) == (400, "InvalidURI")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/bucket/k", "MethodNotAllowed"),
        ("PATCH", "/bucket/k", "MethodNotAllowed"),
        ("PUT", "/", "MethodNotAllowed"),
        ("POST", "/bucket", "MethodNotAllowed"),
        ("GET", "/bucket/k?versionId=abc", "InvalidArgument"),
        ("GET", "/bucket/k?uploads", "NotImplemented"),
        ("GET", "/bucket/k?torrent", "NotImplemented"),
        ("DELETE", "/bucket?lifecycle", "NotImplemented"),
        ("GET", "/bucket/k?partNumber=2", "InvalidPartNumber"),
        ("GET", "/bucket?list-type=2&encoding-type=base64", "InvalidArgument"),
    ],
)
async def test_what_cannot_be(http: httpx.AsyncClient, method: str, path: str, code: str) -> None:
    response = await http.request(method, path)
    assert error_of(response)["Code"] == code
    assert (await http.get("/bucket/k")).content == b"body"


async def test_a_body_of_unknown_length(http: httpx.AsyncClient, store: ObjectStore) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"a", b"b", b"c"):
            yield piece

    assert (await http.put("/bucket/streamed", content=pieces())).status_code == 200
    assert store.open("bucket", "streamed").read() == b"abc"


async def test_a_put_that_says_nothing_of_its_length(http: httpx.AsyncClient) -> None:
    request = http.build_request("PUT", "/bucket/k")
    del request.headers["content-length"]
    response = await http.send(request)
    assert (response.status_code, error_of(response)["Code"]) == (411, "MissingContentLength")


async def test_metadata_that_is_not_ascii_goes_by_rfc_2047(http: httpx.AsyncClient) -> None:
    put = await http.put("/bucket/k", content=b"", headers=[(b"x-amz-meta-name", "Zürich".encode())])
    assert put.status_code == 200
    assert (await http.get("/bucket/k")).headers["x-amz-meta-name"] == "=?UTF-8?B?WsO8cmljaA==?="
    big = await http.put("/bucket/k", content=b"", headers={"x-amz-meta-name": "x" * 2048})
    assert error_of(big)["Code"] == "MetadataTooLarge"


async def test_too_much_is_refused_before_it_is_sent(http: httpx.AsyncClient) -> None:
    request = http.build_request("PUT", "/bucket/k", headers={"content-length": str(5 * 1024**3 + 1)})
    response = await http.send(request)
    assert error_of(response)["Code"] == "EntityTooLarge"


async def test_a_defect_is_answered_in_s3s_shape(
    http: httpx.AsyncClient, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "buckets", lambda: 1 / 0)
    response = await http.get("/")
    assert (response.status_code, error_of(response)["Code"]) == (500, "InternalError")


async def test_a_blob_that_is_gone_is_no_missing_key(http: httpx.AsyncClient, tmp_path: Path) -> None:
    for blob in (tmp_path / "s3" / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    assert (await http.get("/bucket/k")).status_code == 500


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EIO, 500)])
def test_a_full_disk_is_named_and_not_worth_a_retry(number: int, status: int) -> None:
    told = failure(OSError(number, os.strerror(number)))
    assert told.status_code == status
    assert ("is full" in told.message) == (status == 507)
