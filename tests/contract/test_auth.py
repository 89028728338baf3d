"""Whoever has no key gets nothing, and is told why in the words of the service that he asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.contract.conftest import SOURCE
from tests.contract.serving_probe import eventually
from tests.contract.signed_server import (
    KEY_ID,
    SECOND_ID,
    SECOND_SECRET,
    SECOND_TOKEN,
    SECRET,
    SignedServer,
    signed,
)

__all__ = ["signed"]

PATIENCE_S = 60.0
"""For an answer: httpx has five seconds, which a busy machine may want for itself."""
WRONG = "thisIsNotTheSecretOfThatKey"
CALLS: dict[str, Callable[[Any], Any]] = {
    "s3": lambda client: client.list_buckets(),
    "sagemaker": lambda client: client.list_models(),
    "logs": lambda client: client.describe_log_groups(),
    "sts": lambda client: client.get_caller_identity(),
    "iam": lambda client: client.list_roles(),
    "cloudwatch": lambda client: client.list_metrics(),
    "application-autoscaling": lambda client: client.describe_scalable_targets(ServiceNamespace="sagemaker"),
}
JSON = ("sagemaker", "logs", "application-autoscaling")
MISMATCH = {"s3": "SignatureDoesNotMatch", "sts": "SignatureDoesNotMatch", "iam": "SignatureDoesNotMatch"}
UNKNOWN = {"s3": "InvalidAccessKeyId", "sts": "InvalidClientTokenId", "iam": "InvalidClientTokenId"}


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@pytest.mark.parametrize("service", CALLS)
def test_the_right_key_is_let_in(signed: SignedServer, service: str) -> None:
    CALLS[service](signed.client(service))


@pytest.mark.parametrize("service", CALLS)
def test_a_wrong_secret_is_not(signed: SignedServer, service: str) -> None:
    with pytest.raises(ClientError) as error:
        CALLS[service](signed.client(service, secret=WRONG))
    assert code(error) == MISMATCH.get(service, "InvalidSignatureException")


@pytest.mark.parametrize("service", CALLS)
def test_an_unknown_key_is_not(signed: SignedServer, service: str) -> None:
    with pytest.raises(ClientError) as error:
        CALLS[service](signed.client(service, key="AKIDNOBODY"))
    assert code(error) == UNKNOWN.get(service, "UnrecognizedClientException")


def test_invocations_are_signed_too(signed: SignedServer) -> None:
    with pytest.raises(ClientError, match="not found"):
        signed.client("sagemaker-runtime").invoke_endpoint(EndpointName="nobody", Body=b"1")
    with pytest.raises(ClientError) as error:
        signed.client("sagemaker-runtime", secret=WRONG).invoke_endpoint(EndpointName="nobody", Body=b"1")
    assert code(error) == "InvalidSignatureException"
    path = f"{signed.url}/endpoints/nobody/invocations"
    assert (
        httpx.post(path, content=b"1", timeout=PATIENCE_S).json()["__type"]
        == "MissingAuthenticationTokenException"
    )
    assert "not found" in httpx.post(path, content=b"1", auth=(KEY_ID, SECRET), timeout=PATIENCE_S).text
    assert httpx.post(path, content=b"1", auth=(KEY_ID, WRONG), timeout=PATIENCE_S).status_code == 400


def test_a_session_token_belongs_to_its_key(signed: SignedServer) -> None:
    signed.client("s3", key=SECOND_ID, secret=SECOND_SECRET, token=SECOND_TOKEN).list_buckets()
    for token in (None, "another"):
        with pytest.raises(ClientError) as error:
            signed.client("s3", key=SECOND_ID, secret=SECOND_SECRET, token=token).list_buckets()
        assert code(error) == "InvalidToken"


def test_who_assumed_a_role_is_let_in(signed: SignedServer) -> None:
    role = "arn:aws:iam::123456789012:role/somebody"
    given = signed.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    key = {"key": given["AccessKeyId"], "secret": given["SecretAccessKey"]}
    signed.client("sagemaker", **key, token=given["SessionToken"]).list_models()
    with pytest.raises(ClientError) as error:
        signed.client("sagemaker", **key).list_models()
    assert code(error) == "UnrecognizedClientException"


@pytest.mark.parametrize(
    ("service", "expected"),
    [("s3", "AuthorizationHeaderMalformed"), ("sagemaker", "InvalidSignatureException")],
)
def test_another_region_is_not_served(signed: SignedServer, service: str, expected: str) -> None:
    with pytest.raises(ClientError) as error:
        CALLS[service](signed.client(service, region="eu-west-1"))
    assert code(error) == expected
    assert "us-east-1" in str(error.value)


def request(
    url: str,
    *,
    body: bytes = b"{}",
    target: str = "SageMaker.ListModels",
    service: str = "sagemaker",
    at: datetime | None = None,
    monkeypatch: pytest.MonkeyPatch | None = None,
) -> AWSRequest:
    made = AWSRequest(
        "POST", url, {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}, body
    )
    if at is not None:
        assert monkeypatch is not None
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: at)
    SigV4Auth(Credentials(KEY_ID, SECRET), service, "us-east-1").add_auth(made)
    return made


def send(made: AWSRequest, **changes: Any) -> httpx.Response:
    prepared: Any = made.prepare()
    parts: dict[str, Any] = {"method": prepared.method, "url": prepared.url, "content": prepared.body}
    parts |= {"headers": dict(prepared.headers)} | changes
    parts["headers"] = {k: v for k, v in parts["headers"].items() if k.lower() != "content-length"}
    return httpx.request(**parts, timeout=PATIENCE_S)


def test_what_was_signed_may_not_change(signed: SignedServer) -> None:
    made = request(f"{signed.url}/?a=1")
    headers = dict(made.headers)
    assert send(made).status_code == 200
    for changes in (
        {"content": b'{"MaxResults": 1}'},
        {"method": "PUT"},
        {"url": f"{signed.url}/?a=2"},
        {"url": f"{signed.url}/x?a=1"},
        {"headers": headers | {"X-Amz-Target": "SageMaker.ListEndpoints"}},
        {"headers": headers | {"Content-Type": "application/json"}},
        {"headers": headers | {"Host": "localhost"}},
    ):
        answer = send(made, **changes)
        assert answer.json()["__type"] == "InvalidSignatureException", changes
        assert answer.headers["x-amzn-errortype"] == "InvalidSignatureException"
    late = send(made, headers=headers | {"X-Amz-Security-Token": "added"})
    assert late.json()["__type"] == "UnrecognizedClientException"
    added = send(made, headers=headers | {"X-Amz-Meta": "added"})
    assert "must be a 'SignedHeader'" in added.json()["message"]


def test_headers_of_s3_that_were_not_signed_are_refused(signed: SignedServer) -> None:
    made = AWSRequest("PUT", f"{signed.url}/signed/tagged", {}, b"1")
    S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", "us-east-1").add_auth(made)
    answer = send(made, headers=dict(made.headers) | {"x-amz-copy-source": "/signed/other"})
    assert (answer.status_code, "<Code>AccessDenied</Code>" in answer.text) == (403, True)
    assert "<HeadersNotSigned>x-amz-copy-source</HeadersNotSigned>" in answer.text


def test_a_body_other_than_the_signed_one_is_not_stored(signed: SignedServer) -> None:
    made = AWSRequest("PUT", f"{signed.url}/signed/swapped", {}, b"what was signed")
    S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", "us-east-1").add_auth(made)
    answer = send(made, content=b"something else.")
    assert "<Code>XAmzContentSHA256Mismatch</Code>" in answer.text
    listed = signed.client("s3").list_objects_v2(Bucket="signed", Prefix="swapped")
    assert listed["KeyCount"] == 0
    assert send(made).status_code == 200


@pytest.mark.parametrize("minutes", [-16, 16])
def test_clocks_may_differ_by_a_quarter_of_an_hour(
    signed: SignedServer, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    def naive(minutes: int) -> datetime:
        return (datetime.now(UTC) + timedelta(minutes=minutes)).replace(tzinfo=None)

    near = naive(minutes - (2 if minutes > 0 else -2))
    assert send(request(signed.url, at=near, monkeypatch=monkeypatch)).status_code == 200
    replayed = send(request(signed.url, at=naive(minutes), monkeypatch=monkeypatch)).json()
    assert replayed["__type"] == "InvalidSignatureException"
    assert "Signature" in replayed["message"]
    with pytest.raises(ClientError) as error:
        signed.client("s3").list_buckets()
    assert code(error) == "RequestTimeTooSkewed"


def test_a_signature_for_one_service_is_none_for_another(signed: SignedServer) -> None:
    made = request(signed.url, target="Logs_20140328.DescribeLogGroups", service="sagemaker")
    assert "correct service: 'logs'" in send(made).json()["message"]


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, "MissingAuthenticationTokenException"),
        ("", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256", "IncompleteSignatureException"),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00",
            "IncompleteSignatureException",
        ),
        ("Bearer " + "x" * 300, "IncompleteSignatureException"),
        ("AWS AKIDEXAMPLE:abc=", "IncompleteSignatureException"),
    ],
)
def test_half_a_signature(signed: SignedServer, authorization: str | None, expected: str) -> None:
    headers = {"X-Amz-Target": "SageMaker.ListModels"}
    if authorization is not None:
        headers["Authorization"] = authorization
    answer = httpx.post(signed.url, headers=headers, content=b"{}", timeout=PATIENCE_S)
    assert answer.json()["__type"] == expected
    assert httpx.get(f"{signed.url}/signed/x", headers=headers, timeout=PATIENCE_S).status_code in (400, 403)


def test_no_one_lists_buckets_without_a_key(signed: SignedServer) -> None:
    answer = httpx.get(f"{signed.url}/", timeout=PATIENCE_S)
    assert (answer.status_code, "<Code>AccessDenied</Code>" in answer.text) == (403, True)


def test_local_pages_take_a_password_and_health_takes_none(signed: SignedServer) -> None:
    assert httpx.get(f"{signed.url}/_local/health", timeout=PATIENCE_S).status_code == 200
    asked = httpx.get(f"{signed.url}/_local/faults", timeout=PATIENCE_S)
    assert asked.status_code == 401
    assert asked.headers["www-authenticate"].startswith("Basic ")
    assert (
        httpx.get(f"{signed.url}/_local/faults", auth=(KEY_ID, SECRET), timeout=PATIENCE_S).status_code == 200
    )
    for name, secret in ((KEY_ID, WRONG), ("AKIDNOBODY", SECRET), (KEY_ID, ""), (SECOND_ID, SECOND_SECRET)):
        assert (
            httpx.get(f"{signed.url}/_local/faults", auth=(name, secret), timeout=PATIENCE_S).status_code
            == 401
        ), name
    made = AWSRequest("GET", f"{signed.url}/_local/faults", {})
    SigV4Auth(Credentials(KEY_ID, SECRET), "sagemaker", "us-east-1").add_auth(made)
    assert send(made).status_code == 200


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sagemaker_local", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "somewhere.example.com"])
def test_it_listens_elsewhere_only_with_keys(tmp_path: Path, host: str) -> None:
    ended = run("--data", str(tmp_path), "--host", host, "--port", "0")
    assert ended.returncode == 2
    assert "--require-auth" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_keys_that_are_no_secret_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"[default]\naws_access_key_id={KEY_ID}\naws_secret_access_key={SECRET}\n")
    file.chmod(0o644)
    arguments = (
        "--data",
        str(tmp_path / "data"),
        "--port",
        "0",
        "--require-auth",
        "--credentials",
        str(file),
    )
    assert "chmod 600" in run(*arguments).stderr
    file.chmod(0o600)
    file.write_text("[default]\naws_access_key_id=a\naws_secret_access_key=short\n")
    assert "shorter than 16 characters" in run(*arguments).stderr
    file.write_text("[default]\naws_access_key_id=a\n")
    assert "no aws_secret_access_key" in run(*arguments).stderr
    file.write_text("nonsense")
    assert "no AWS credentials file" in run(*arguments).stderr
    half = run(*arguments[:-2], SAGEMAKER_LOCAL_ACCESS_KEY_ID="a")
    assert "must both be set" in half.stderr
    assert "both or neither" in run("--credentials", str(file)).stderr


def test_a_server_without_keys_makes_one_for_its_owner(start_server: Callable[..., Any]) -> None:
    server = start_server("--require-auth")
    file = server.data / "credentials"
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    secret = text.split("aws_secret_access_key = ")[1].strip()
    # Printed once the server is ready: who waits for that may look sooner.
    eventually(lambda: f"AWS_SHARED_CREDENTIALS_FILE={file}" in server.log.read_text())
    assert secret not in server.log.read_text()
    server.kill()
    server.start()
    assert file.read_text() == text
    answer = httpx.get(f"{server.url}/_local/faults", auth=(text.split()[3], secret), timeout=PATIENCE_S)
    assert json.loads(answer.text)["rules"] == []
