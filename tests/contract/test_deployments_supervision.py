"""`kill -9` of the server in every phase of a deployment: each ends as it would have."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.deployment_probe import alarm, blue_green, probe, rolling, size, sound, stage, watched_by
from tests.contract.serving_probe import Probe, eventually

__all__ = ["probe"]
CANARY = blue_green("CANARY", 200, CanarySize=size("INSTANCE_COUNT", 1), termination_s=200)
ROLLING = rolling(size("INSTANCE_COUNT", 1), 200)


def started(probe: Probe, deployment: dict[str, Any], version: str = "new", **environment: str) -> Any:
    """An endpoint on its way from two old instances to two new ones, and both configs."""
    old = probe.config(probe.model("old"), InitialInstanceCount=2)
    name = probe.endpoint(old)
    new = probe.config(probe.model(version, **environment), InitialInstanceCount=2)
    probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=new, DeploymentConfig=deployment)
    return name, old, new


def killed(probe: Probe) -> None:
    probe.server.kill()
    probe.server.start()
    probe.connect()


@pytest.mark.parametrize(
    ("deployment", "phase"),
    [(CANARY, "Creating"), (CANARY, "Baking"), (CANARY, "Step 2"), (CANARY, ""), (ROLLING, "Step 2")],
    ids=["coming up", "canary bakes", "last step bakes", "old fleet waits for its end", "half rolled"],
)
def test_a_deployment_goes_on_to_its_end(probe: Probe, deployment: dict[str, Any], phase: str) -> None:
    name, _, new = started(probe, deployment)
    what = "StatusMessage" if phase.startswith("Step") else "Status"
    eventually(lambda: stage(probe, name, what).startswith(phase) if phase else not stage(probe, name))
    killed(probe)
    ended = probe.wait(name)
    assert ended["EndpointConfigName"] == new
    assert ended["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert "FailureReason" not in ended
    assert "PendingDeploymentSummary" not in ended
    assert {probe.ask(name, "version") for _ in range(6)} == {b"new"}


def test_a_roll_back_goes_on_to_its_end(probe: Probe) -> None:
    bell = alarm(probe)
    long = rolling(size("INSTANCE_COUNT", 1), 3600)
    name, old, _ = started(probe, watched_by(bell, long))
    eventually(lambda: stage(probe, name) == "Baking")
    sound(probe, bell)
    eventually(lambda: stage(probe, name) != "Baking")
    killed(probe)
    ended = probe.wait(name)
    assert ended["EndpointConfigName"] == old
    assert bell in ended["FailureReason"]
    assert ended["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert {probe.ask(name, "version") for _ in range(6)} == {b"old"}


def test_the_old_fleet_serves_while_the_new_one_comes_back(probe: Probe) -> None:
    name, old, _ = started(probe, CANARY, PING_STATUS="503")
    eventually(lambda: stage(probe, name) == "Creating")
    killed(probe)
    eventually(lambda: answers(probe, name) == b"old")
    assert probe.describe(name)["EndpointStatus"] == "Updating"
    ended = probe.wait(name)
    assert ended["EndpointConfigName"] == old
    assert "did not pass the ping health check" in ended["FailureReason"]


def answers(probe: Probe, name: str) -> bytes:
    try:
        return probe.ask(name, "version")
    except probe.runtime.exceptions.ClientError:
        return b""
