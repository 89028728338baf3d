"""Containers with a network of their own: images that listen on 8080 regardless, and isolated models."""

from __future__ import annotations

import os
import signal

import pytest
from botocore.exceptions import ClientError

from tests.contract.deployment_probe import load, probe
from tests.contract.serving_probe import REGISTRY, ROLE, Probe, eventually, unique

__all__ = ["probe"]
pytestmark = pytest.mark.skipif(
    os.environ.get("TEST_EXECUTOR") in ("docker", "base-directory"),
    reason="the one gives every container its own network, the other none",
)
FIXED_PORT = f"{REGISTRY}/fixed-port:latest"


def test_instances_that_all_listen_on_8080_serve_side_by_side(probe: Probe) -> None:
    name = probe.endpoint(probe.config(probe.model(image=FIXED_PORT), InitialInstanceCount=3))
    assert {probe.ask(name) for _ in range(6)} == {b"none"}
    eventually(lambda: any("in a network of its own" in line for line in printed(probe, name)))
    other = probe.endpoint(probe.config(probe.model(image=FIXED_PORT)))  # known by now: at once
    assert probe.ask(other) == b"none"
    eventually(lambda: "serving" in printed(probe, other))
    assert not any("started again" in line for line in printed(probe, other))


def printed(probe: Probe, name: str) -> list[str]:
    """What is in an endpoint's log by now."""
    try:
        return probe.printed(name)
    except ClientError:  # nothing yet
        return []


def isolated(probe: Probe, **environment: str) -> str:
    name = unique("model")
    ready = probe.model(**environment)
    container = probe.sagemaker.describe_model(ModelName=ready)["PrimaryContainer"]
    container = {key: container[key] for key in ("Image", "ModelDataUrl", "Environment") if key in container}
    probe.sagemaker.create_model(
        ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE, EnableNetworkIsolation=True
    )
    assert probe.sagemaker.describe_model(ModelName=name)["EnableNetworkIsolation"] is True
    return name


def test_an_isolated_model_answers_and_reaches_nothing(probe: Probe) -> None:
    open_name = probe.endpoint()
    assert probe.ask(open_name, "way-out") == b"there is one"
    name = probe.endpoint(probe.config(isolated(probe)))
    assert probe.ask(name, "way-out") == b"none"
    with load(probe, name, callers=8) as seen:
        eventually(lambda: seen["v1"] > 100)
    assert set(seen) == {"v1"}
    big = os.urandom(5 * 1024 * 1024)
    assert probe.ask(name, "text/csv", big) == big


def test_an_isolated_container_that_is_killed_comes_back(probe: Probe) -> None:
    name = probe.endpoint(probe.config(isolated(probe)))
    before = probe.ask(name, "started")
    os.kill(probe.process(name), signal.SIGKILL)
    eventually(lambda: begun(probe, name) not in (b"", before))


def begun(probe: Probe, name: str) -> bytes:
    """When the container began; nothing while it is away."""
    try:
        return probe.ask(name, "started")
    except ClientError:
        return b""
