"""Endpoints over boto3: their states, their updates under load, their failures."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.serving_probe import BUCKET, IMAGE, REGISTRY, ROLE, Probe, eventually, probe, unique

__all__ = ["probe"]
PING_WORDS = (
    "The primary container for production variant AllTraffic did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)


@contextmanager
def load(probe: Probe, endpoint: str, callers: int = 6) -> Iterator[Counter[str]]:
    """Ask without a pause while the block runs; counts the answers and the errors."""
    seen: Counter[str] = Counter()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                answer = probe.ask(endpoint, "version").decode()
            except ClientError as error:
                answer = f"failed: {error}"
            seen[answer] += 1

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_an_endpoint_comes_up_serves_and_goes(probe: Probe) -> None:
    gate = probe.gate()
    config = probe.config(probe.model(WAIT_FOR=gate))
    name = probe.endpoint(config, wait=False)
    first = probe.describe(name)
    assert first["EndpointStatus"] == "Creating"
    assert "ProductionVariants" not in first
    probe.open_gate(gate)
    described = probe.wait(name)
    (variant,) = described["ProductionVariants"]
    assert described["EndpointConfigName"] == config
    assert (variant["VariantName"], variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (
        "AllTraffic", 1, 1.0,
    )  # fmt: skip
    assert variant["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    assert "FailureReason" not in described
    assert probe.ask(name, "version") == b"v1"
    listed = probe.sagemaker.list_endpoints(NameContains=name, StatusEquals="InService")["Endpoints"]
    assert [each["EndpointArn"] for each in listed] == [described["EndpointArn"]]
    probe.delete(name)
    with pytest.raises(ClientError, match=f"Endpoint {name} of account 123456789012 not found."):
        probe.ask(name)


def test_an_update_under_load_loses_no_request(probe: Probe) -> None:
    name = probe.endpoint(probe.config(probe.model("old")))
    gate = probe.gate()
    newer = probe.config(probe.model("new", WAIT_FOR=gate))
    with load(probe, name) as seen:
        eventually(lambda: seen["old"] > 20)
        probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=newer)
        updating = probe.describe(name)
        assert updating["EndpointStatus"] == "Updating"
        assert updating["EndpointConfigName"] != newer
        assert updating["PendingDeploymentSummary"]["EndpointConfigName"] == newer
        probe.open_gate(gate)
        described = probe.wait(name)
        after = seen["new"]
        eventually(lambda: seen["new"] > after + 20)
    assert set(seen) == {"old", "new"}
    assert described["EndpointConfigName"] == newer
    assert "PendingDeploymentSummary" not in described


@pytest.mark.parametrize("change", ["update", "delete"])
def test_a_request_under_way_is_answered_before_its_container_stops(probe: Probe, change: str) -> None:
    name = probe.endpoint()
    newer, gate = probe.config(probe.model("new")), probe.gate()
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(probe.ask, name, "hold", gate.encode())
        eventually(lambda: probe.ask(name, "paused") == b"1")
        if change == "update":
            probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=newer)
            eventually(lambda: probe.ask(name, "version") == b"new")
        else:
            probe.sagemaker.delete_endpoint(EndpointName=name)
        time.sleep(1)  # a container that is stopped all the same breaks the connection meanwhile
        assert not asked.done()
        probe.open_gate(gate)
        assert asked.result() == gate.encode()


def test_an_update_that_does_not_come_up_leaves_the_old_config_serving(probe: Probe) -> None:
    old = probe.config(probe.model("old"))
    name = probe.endpoint(old)
    with load(probe, name) as seen:
        broken = probe.config(probe.model("new", EXIT_CODE="7"))
        probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=broken)
        described = probe.wait(name)
    assert set(seen) == {"old"}
    assert described["EndpointConfigName"] == old
    assert described["FailureReason"].startswith(PING_WORDS)
    assert "exit code 7" in described["FailureReason"]
    assert "PendingDeploymentSummary" not in described
    probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=probe.config(probe.model("third")))
    assert "FailureReason" not in probe.wait(name)
    assert probe.ask(name, "version") == b"third"


def test_an_endpoint_outlives_its_config_and_its_model(probe: Probe) -> None:
    model = probe.model("kept")
    config = probe.config(model)
    name = probe.endpoint(config)
    probe.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    probe.sagemaker.delete_model(ModelName=model)
    assert probe.ask(name, "version") == b"kept"


def test_no_change_is_taken_while_another_is_under_way(probe: Probe) -> None:
    gate = probe.gate()
    config = probe.config(probe.model(WAIT_FOR=gate))
    name = probe.endpoint(config, wait=False)
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name}"
    changes: tuple[Callable[[], Any], ...] = (
        lambda: probe.sagemaker.delete_endpoint(EndpointName=name),
        lambda: probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config),
    )
    for change in changes:
        with pytest.raises(ClientError, match=re.escape(f'Cannot update in-progress endpoint "{arn}".')):
            change()
    with pytest.raises(ClientError, match="is Creating"):
        probe.ask(name)
    probe.open_gate(gate)
    probe.wait(name)


def broken_archive(probe: Probe) -> str:
    name = unique("model")
    probe.s3.put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=b"this is no archive")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{name}.tar.gz"}
    probe.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    return name


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda probe: probe.model(EXIT_CODE="7"), f"{PING_WORDS} (It ended 3 times"),
        (lambda probe: probe.model(PING_STATUS="503"), f"{PING_WORDS} (No answer to /ping"),
        (lambda probe: probe.model(image=f"{REGISTRY}/nowhere:1"), "nowhere"),
        (broken_archive, "Failed to extract model data archive"),
    ],
    ids=["container exits", "never healthy", "no image", "no archive"],
)
def test_an_endpoint_that_cannot_serve_fails_and_says_why(probe: Probe, model: Any, reason: str) -> None:
    name = probe.endpoint(probe.config(model(probe)), wait=False)
    described = probe.ended(name)
    assert described["EndpointStatus"] == "Failed"
    assert reason in described["FailureReason"]
    with pytest.raises(ClientError, match="is Failed"):
        probe.ask(name)
    with pytest.raises(ClientError, match="DeleteEndpoint is the only operation"):
        probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=probe.config())
    probe.delete(name)


def test_variants_share_the_traffic_by_weight_and_instances_by_turn(probe: Probe) -> None:
    config = unique("config")
    probe.sagemaker.create_endpoint_config(
        EndpointConfigName=config,
        ProductionVariants=[
            probe.variant(probe.model("a"), VariantName="a", InitialVariantWeight=3, InitialInstanceCount=2),
            probe.variant(probe.model("b"), VariantName="b", InitialVariantWeight=1),
        ],
    )
    name = probe.endpoint(config)
    answers = [
        probe.runtime.invoke_endpoint(EndpointName=name, ContentType="application/x-version", Body=b"")
        for _ in range(40)
    ]
    shares = Counter(answer["InvokedProductionVariant"] for answer in answers)
    assert shares == {"a": 30, "b": 10}
    assert all(answer["Body"].read().decode() == answer["InvokedProductionVariant"] for answer in answers)
    instances = {probe.ask(name, "namespace", TargetVariant="a") for _ in range(10)}
    assert len(instances) == 2
    assert probe.ask(name, "version", TargetVariant="b") == b"b"
    group = f"/aws/sagemaker/Endpoints/{name}"

    def streams() -> list[str]:
        found = probe.logs.describe_log_streams(logGroupName=group)["logStreams"]
        return sorted(stream["logStreamName"].partition("/")[0] for stream in found)

    eventually(lambda: streams() == ["a", "a", "b"])  # what they print is in the log a moment later


def test_retained_variant_properties_win_over_the_new_config(probe: Probe) -> None:
    model = probe.model()
    name = probe.endpoint(probe.config(model, InitialInstanceCount=2))
    fewer = probe.config(model, InitialInstanceCount=1)
    probe.sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=fewer, RetainAllVariantProperties=True
    )
    assert probe.wait(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=fewer)
    assert probe.wait(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 1


@pytest.mark.parametrize("operation", ["describe_endpoint", "delete_endpoint"])
def test_an_unknown_endpoint_is_answered_in_the_words_of_aws(probe: Probe, operation: str) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/none"
    with pytest.raises(ClientError, match=re.escape(f'Could not find endpoint "{arn}".')):
        getattr(probe.sagemaker, operation)(EndpointName="none")
