"""InvokeEndpoint: bytes and headers there and back, and every way in which it fails."""

from __future__ import annotations

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.serving_probe import Probe, probe

__all__ = ["probe"]
LIMIT_BYTES = 6 * 1024 * 1024


@pytest.fixture(scope="module")
def endpoint(probe: Probe) -> str:
    return probe.endpoint()


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_003, LIMIT_BYTES])
def test_any_bytes_come_back_as_they_went(probe: Probe, endpoint: str, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    assert probe.ask(endpoint, body=body[:size]) == body[:size]


def test_more_than_six_megabytes_are_refused(probe: Probe, endpoint: str) -> None:
    with pytest.raises(ClientError) as refused:
        probe.ask(endpoint, body=b"x" * (LIMIT_BYTES + 1))
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationError"
    assert f"length less than or equal to {LIMIT_BYTES}" in error["Message"]
    assert probe.ask(endpoint, body=b"still there") == b"still there"


def test_headers_pass_both_ways(probe: Probe, endpoint: str) -> None:
    answer = probe.runtime.invoke_endpoint(
        EndpointName=endpoint,
        Body=b"",
        ContentType="application/x-headers",
        Accept="application/json",
        CustomAttributes="trace-7",
        InferenceId="inference-7",
    )
    seen = json.loads(answer["Body"].read())
    assert seen["content-type"] == "application/x-headers"
    assert seen["accept"] == "application/json"
    assert seen["x-amzn-sagemaker-custom-attributes"] == "trace-7"
    assert seen["x-amzn-sagemaker-inference-id"] == "inference-7"
    assert "authorization" not in seen
    assert answer["ContentType"] == "application/json"
    assert answer["CustomAttributes"] == "seen trace-7"
    assert answer["InvokedProductionVariant"] == "AllTraffic"


@pytest.mark.parametrize(
    ("status", "blame"), [(400, "client"), (415, "client"), (500, "server"), (503, "server")]
)
def test_an_error_of_the_container_is_a_model_error(
    probe: Probe, endpoint: str, status: int, blame: str
) -> None:
    with pytest.raises(probe.runtime.exceptions.ModelError) as failed:
        probe.ask(endpoint, "status", str(status).encode())
    answer = failed.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == status
    assert answer["OriginalMessage"] == f"asked for {status}"
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    assert answer["LogStreamArn"] == f"arn:aws:logs:us-east-1:123456789012:log-group:{group}"
    assert answer["Error"]["Message"] == (
        f'Received {blame} error ({status}) from primary with message "asked for {status}". See '
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        f"#logEventViewer:group={group} in account 123456789012 for more information."
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"EndpointName": "none"}, "Endpoint none of account 123456789012 not found."),
        ({"TargetVariant": "none"}, "Variant none not found"),
        ({"TargetModel": "a.tar.gz"}, "is not a multi-model endpoint"),
        ({"TargetContainerHostname": "second"}, "is not a multi-container endpoint"),
        ({"InferenceComponentName": "part"}, "has no inference components"),
    ],
)
def test_what_the_endpoint_is_not_is_a_validation_error(
    probe: Probe, endpoint: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message) as refused:
        probe.runtime.invoke_endpoint(**{"EndpointName": endpoint, "Body": b"", **parameters})
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_a_plain_request_without_a_signature_is_served(probe: Probe, endpoint: str) -> None:
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{probe.server.url}/endpoints/{endpoint}/invocations",
        data=b"1,2\n",
        headers={"Content-Type": "text/csv"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        assert answer.read() == b"1,2\n"


def test_many_callers_at_once_each_get_their_own_answer(probe: Probe, endpoint: str) -> None:
    bodies = [f"row-{number}".encode() for number in range(200)]
    with ThreadPoolExecutor(16) as callers:
        assert list(callers.map(lambda body: probe.ask(endpoint, body=body), bodies)) == bodies
