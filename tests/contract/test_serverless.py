"""Serverless variants: no container while nobody asks, one for who does, so many requests at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import IMAGES, PING_TIMEOUT_S, Probe, eventually, unique

IDLE_S = 1.0


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    data = tmp_path_factory.mktemp("serverless") / "data"
    server = LocalServer(data, IMAGES, "--ping-timeout-s", str(PING_TIMEOUT_S))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_LOCAL_SERVERLESS_IDLE_S", str(IDLE_S))
        server.start()
        yield Probe(server)
    server.stop()


def config(probe: Probe, model: str | None = None, **serverless: int) -> str:
    name = unique("config")
    variant = {"VariantName": "AllTraffic", "ModelName": model or probe.model()}
    given = {"MemorySizeInMB": 2048, "MaxConcurrency": 3, **serverless}
    probe.sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[{**variant, "ServerlessConfig": given}]
    )
    return name


@pytest.fixture(scope="module")
def endpoint(probe: Probe) -> str:
    return probe.endpoint(config(probe))


def containers(probe: Probe) -> int:
    """How many model servers run below this server."""
    count = 0
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (directory / "cmdline").read_bytes().split(b"\0")
            environment = (directory / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = f"AWS_ENDPOINT_URL={probe.server.url}".encode() in environment
        count += b"/opt/program/serve" in arguments[1:2] and ours
    return count


def most_containers(probe: Probe, endpoint: str) -> int:
    """The most that run at a time while a request is under way, in which none can be stopped as idle."""
    counts: list[int] = []
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(probe.ask, endpoint, "pause", b"1.5")
        while not asked.done():
            counts.append(containers(probe))
    asked.result()
    return max(counts)


def test_it_scales_to_zero_and_back(probe: Probe, endpoint: str) -> None:
    assert probe.ask(endpoint, body=b"warm") == b"warm"
    eventually(lambda: containers(probe) == 0)
    assert probe.describe(endpoint)["EndpointStatus"] == "InService"
    assert probe.ask(endpoint, body=b"cold") == b"cold"
    assert most_containers(probe, endpoint) == 1
    eventually(lambda: any("the container is stopped" in line for line in probe.printed(endpoint)))


def test_requests_keep_it_awake(probe: Probe, endpoint: str) -> None:
    def port() -> str:
        inside: str = json.loads(probe.ask(endpoint, "variables"))["SAGEMAKER_BIND_TO_PORT"]
        return inside

    deadline = time.monotonic() + 120
    since = asked = time.monotonic()
    first = port()
    while asked - since < 2.4 * IDLE_S:
        assert time.monotonic() < deadline, "the machine never kept up with the requests"
        time.sleep(IDLE_S / 5)
        before, asked = asked, time.monotonic()
        if (now := port()) != first:
            assert time.monotonic() - before >= IDLE_S, "it was stopped between two requests"
            first, since = now, asked  # this process was held up for so long that it was idle


def test_callers_that_come_together_share_a_cold_start(probe: Probe, endpoint: str) -> None:
    eventually(lambda: containers(probe) == 0)
    with ThreadPoolExecutor(3) as callers:
        under_way = [callers.submit(probe.ask, endpoint, "pause", b"1.5") for _ in range(3)]
        counts: list[int] = []
        while not all(each.done() for each in under_way):
            counts.append(containers(probe))
    assert [each.result() for each in under_way] == [b"1.5"] * 3
    assert max(counts) == 1


def test_more_than_its_concurrency_is_throttled(probe: Probe) -> None:
    endpoint = probe.endpoint(config(probe, probe.model(SHOW_REQUESTS="yes")))
    gate = probe.gate()
    with ThreadPoolExecutor(3) as callers:
        under_way = [callers.submit(probe.ask, endpoint, "hold", gate.encode()) for _ in range(3)]
        eventually(lambda: probe.printed(endpoint).count(f"asked {gate}") == 3)
        for _ in range(3):
            with pytest.raises(ClientError) as refused:
                probe.ask(endpoint, body=b"one more")
            assert refused.value.response["Error"]["Code"] == "ThrottlingException"
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert not any(each.done() for each in under_way)
        probe.open_gate(gate)
    assert [each.result() for each in under_way] == [gate.encode()] * 3
    assert probe.ask(endpoint, body=b"then it goes on") == b"then it goes on"
    probe.delete(endpoint)


def test_provisioned_concurrency_stays_awake(probe: Probe) -> None:
    endpoint = probe.endpoint(config(probe, ProvisionedConcurrency=1))
    before = json.loads(probe.ask(endpoint, "variables"))["SAGEMAKER_BIND_TO_PORT"]
    time.sleep(2.5 * IDLE_S)
    assert json.loads(probe.ask(endpoint, "variables"))["SAGEMAKER_BIND_TO_PORT"] == before
    probe.delete(endpoint)


def test_describe_tells_its_settings(probe: Probe, endpoint: str) -> None:
    (variant,) = probe.describe(endpoint)["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 3}
    assert variant["CurrentInstanceCount"] == 0


def test_a_container_that_does_not_come_up_fails_the_endpoint(probe: Probe) -> None:
    name = probe.endpoint(config(probe, probe.model(EXIT_CODE="3")), wait=False)
    assert probe.ended(name)["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in probe.describe(name)["FailureReason"]


def test_a_container_that_dies_comes_back(probe: Probe, endpoint: str) -> None:
    with pytest.raises(ClientError):
        probe.ask(endpoint, "die")

    def answered() -> bool:
        try:
            return probe.ask(endpoint, body=b"back") == b"back"
        except ClientError:
            return False

    eventually(answered)


def test_it_is_deleted_while_it_sleeps_and_while_it_is_awake(probe: Probe) -> None:
    for asleep in (True, False):
        name = probe.endpoint(config(probe))
        if asleep:
            eventually(lambda: containers(probe) == 0)
        else:
            probe.ask(name)
        probe.delete(name)
        eventually(lambda: containers(probe) == 0)


def test_it_serves_again_after_a_kill(probe: Probe, endpoint: str) -> None:
    probe.server.kill()
    probe.server.start()
    probe.connect()
    eventually(lambda: probe.describe(endpoint)["EndpointStatus"] == "InService")
    assert probe.ask(endpoint, body=b"again") == b"again"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ServerlessConfig": {"MemorySizeInMB": 1500, "MaxConcurrency": 1}}, "MemorySizeInMB"),
        (
            {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1, "ProvisionedConcurrency": 2}},
            "ProvisionedConcurrency",
        ),
        ({"InstanceType": "ml.m5.large"}, "InstanceType"),
        ({"InitialInstanceCount": 1}, "InitialInstanceCount"),
    ],
)
def test_settings_that_cannot_be_are_refused(probe: Probe, change: dict[str, Any], message: str) -> None:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": probe.model(),
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1},
        **change,
    }
    with pytest.raises(ClientError, match=message) as refused:
        probe.sagemaker.create_endpoint_config(
            EndpointConfigName=unique("config"), ProductionVariants=[variant]
        )
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_what_does_not_go_with_serverless_is_refused(probe: Probe) -> None:
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
    variant = {"VariantName": "one", "ModelName": probe.model(), "ServerlessConfig": serverless}
    output = {"OutputConfig": {"S3OutputPath": "s3://bucket/out"}}
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    for more, message in (
        ({"ProductionVariants": [variant, {**variant, "VariantName": "two"}]}, "several ProductionVariants"),
        ({"AsyncInferenceConfig": output}, "AsyncInferenceConfig"),
        ({"DataCaptureConfig": capture}, "DataCaptureConfig"),
    ):
        with pytest.raises(ClientError, match=f"features are not supported.*{message}"):
            probe.sagemaker.create_endpoint_config(
                **{"EndpointConfigName": unique("config"), "ProductionVariants": [variant], **more}
            )
