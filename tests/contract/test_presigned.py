"""Presigned URLs: good for what was signed, until they expire, and for nothing else."""

from __future__ import annotations

import functools
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx
import pytest

from tests.contract.conftest import LocalServer
from tests.contract.signed_server import (
    KEY_ID,
    SECOND_ID,
    SECOND_SECRET,
    SECOND_TOKEN,
    SECRET,
    SignedServer,
    signed,
)
from tests.contract.test_awscli import aws_program

__all__ = ["aws_program", "signed"]

VERSIONS = ["s3", "s3v4"]
KEY = "folder/ä b+c%&=?#~.txt"
# The first call to STS has the server import moto: on a busy machine that takes longer than httpx waits.
TIMEOUT_S = 60
get = functools.partial(httpx.get, timeout=TIMEOUT_S)
head = functools.partial(httpx.head, timeout=TIMEOUT_S)
put = functools.partial(httpx.put, timeout=TIMEOUT_S)
delete = functools.partial(httpx.delete, timeout=TIMEOUT_S)


@pytest.fixture(scope="module", autouse=True)
def stored(signed: SignedServer) -> None:
    signed.client("s3").put_object(Bucket="signed", Key=KEY, Body=b"content")


def presigned(server: LocalServer, version: str, operation: str = "get_object", **parameters: Any) -> str:
    expires_s, key = parameters.pop("expires_s", 300), parameters.pop("key", {})
    client = server.client("s3", signature_version=version, **key)
    given = {"Bucket": "signed", "Key": KEY, **parameters}
    return str(client.generate_presigned_url(operation, Params=given, ExpiresIn=expires_s))


def changed(url: str, **parameters: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), **parameters})))


def refused(answer: httpx.Response, code: str = "SignatureDoesNotMatch") -> bool:
    return answer.status_code in (400, 403) and f"<Code>{code}</Code>" in answer.text


@pytest.mark.parametrize("version", VERSIONS)
def test_read_and_write(signed: SignedServer, version: str) -> None:
    assert get(presigned(signed, version)).content == b"content"
    assert head(presigned(signed, version, "head_object")).status_code == 200
    address = presigned(signed, version, "put_object", Key=f"put-{version}", ContentType="text/x-test")
    assert put(address, content=b"put", headers={"Content-Type": "text/x-test"}).status_code == 200
    assert get(presigned(signed, version, Key=f"put-{version}")).content == b"put"
    assert refused(put(address, content=b"put", headers={"Content-Type": "text/other"}))


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_else_than_was_signed(signed: SignedServer, version: str) -> None:
    url = presigned(signed, version)
    assert refused(put(url, content=b"mine now"))
    assert refused(delete(url))
    assert refused(get(url.replace("/folder/", "/other/")))
    assert refused(get(url.replace("/signed/", "/another/")))
    assert refused(get(changed(url, tagging="")))
    assert refused(get(changed(url, **{"response-content-type": "text/html"})))
    later = changed(
        url, **{"Expires": str(int(time.time()) + 9999)} if version == "s3" else {"X-Amz-Expires": "9999"}
    )
    assert refused(get(later))
    extra = put(
        presigned(signed, version, "put_object", Key="copy"), headers={"x-amz-copy-source": "/signed/x"}
    )
    assert refused(extra) or refused(extra, "AccessDenied")


@pytest.mark.parametrize("version", VERSIONS)
def test_other_keys(signed: SignedServer, version: str) -> None:
    stranger = presigned(signed, version, key={"key": "AKIDNOBODY"})
    assert refused(get(stranger), "InvalidAccessKeyId")
    assert refused(get(presigned(signed, version, key={"secret": "of some other length"})))
    second = {"key": SECOND_ID, "secret": SECOND_SECRET}
    assert refused(get(presigned(signed, version, key=second)), "InvalidToken")
    with_token = presigned(signed, version, key={**second, "token": SECOND_TOKEN})
    assert get(with_token).content == b"content"


@pytest.mark.parametrize("version", VERSIONS)
def test_it_ends(signed: SignedServer, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = datetime.now(UTC) - timedelta(seconds=302)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: long_ago.replace(tzinfo=None))
    monkeypatch.setattr("botocore.auth.time.time", lambda: long_ago.timestamp())
    expired = get(presigned(signed, version))
    assert refused(expired, "AccessDenied")
    assert "Request has expired" in expired.text
    assert get(presigned(signed, version, expires_s=3600)).content == b"content"


def test_other_services_presign_as_well(signed: SignedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def url(expires_s: int) -> str:
        client = signed.client("sts")
        return str(
            client.generate_presigned_url("get_caller_identity", ExpiresIn=expires_s, HttpMethod="GET")
        )

    assert ":assumed-role/" in get(url(60)).text
    assert "SignatureDoesNotMatch" in get(url(60).replace("GetCallerIdentity", "GetSessionToken")).text
    long_ago = datetime.now(UTC) - timedelta(seconds=100)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: long_ago.replace(tzinfo=None))
    assert "Request has expired" in get(url(60)).text
    assert ":assumed-role/" in get(url(3600)).text


def test_it_begins_now_and_lasts_a_week_at_most(
    signed: SignedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_long = get(changed(presigned(signed, "s3v4"), **{"X-Amz-Expires": "604801"}))
    assert refused(too_long, "AuthorizationQueryParametersError")
    future = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: future.replace(tzinfo=None))
    assert refused(get(presigned(signed, "s3v4")), "AccessDenied")


@pytest.mark.parametrize(
    "broken",
    [
        {"X-Amz-Date": "yesterday"},
        {"X-Amz-Expires": "soon"},
        {"X-Amz-Expires": "-1"},
        {"X-Amz-Expires": "9" * 400},
        {"X-Amz-Credential": "only/two"},
        {"X-Amz-Algorithm": "AWS4-ECDSA-P256-SHA256"},
    ],
)
def test_broken_parameters(signed: SignedServer, broken: dict[str, str]) -> None:
    answer = get(changed(presigned(signed, "s3v4"), **broken))
    assert refused(answer, "AuthorizationQueryParametersError")


@pytest.mark.parametrize("end", ["", "x", "1e9", "²", "9" * 400])
def test_broken_ends_of_version_2(signed: SignedServer, end: str) -> None:
    answer = get(changed(presigned(signed, "s3"), Expires=end))
    assert refused(answer, "AccessDenied")


def test_the_command_line_presigns(aws_program: Path, signed: SignedServer, tmp_path: Path) -> None:
    import subprocess

    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command: list[str | Path] = [aws_program, "--endpoint-url", signed.url, "s3"]

    def run(*arguments: str) -> str:
        done: Any = subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, check=True
        )
        return str(done.stdout).strip()

    (tmp_path / "file").write_bytes(b"from the command line" * 1000)
    run("cp", str(tmp_path / "file"), "s3://signed/cli.txt")
    url = run("presign", "s3://signed/cli.txt", "--expires-in", "60")
    assert get(url).content == b"from the command line" * 1000
    assert refused(get(url.replace("cli.txt", "other.txt")))
