"""UpdateEndpoint with a DeploymentConfig: traffic really shifts, and no request is lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.deployment_probe import (
    alarm,
    blue_green,
    load,
    pending,
    probe,
    rolling,
    share_of,
    size,
    sound,
    stage,
    watched_by,
)
from tests.contract.serving_probe import Probe, eventually

__all__ = ["probe"]
LONG_S = 3600
"""Longer than any of these tests looks: 36 seconds here."""


def update(probe: Probe, name: str, version: str, deployment: dict[str, Any], **variant: Any) -> str:
    config = probe.config(probe.model(version), **variant)
    probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, DeploymentConfig=deployment)
    return config


def assert_rolled_back(ended: dict[str, Any], config: str, why: str) -> None:
    assert ended["EndpointStatus"] == "InService"
    assert ended["EndpointConfigName"] == config
    assert ended["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert why in ended["FailureReason"]
    assert "PendingDeploymentSummary" not in ended


def test_a_canary_gets_its_share_and_the_alarm_takes_it_back(probe: Probe) -> None:
    old = probe.config(probe.model("old"), InitialInstanceCount=2)
    name = probe.endpoint(old)
    bell = alarm(probe)
    canary = watched_by(bell, blue_green("CANARY", LONG_S, CanarySize=size("CAPACITY_PERCENT", 25)))
    with load(probe, name) as seen:
        newer = update(probe, name, "new", canary, InitialInstanceCount=2)
        eventually(lambda: seen["new"])
        assert share_of(seen, "new") == pytest.approx(0.25, abs=0.06)
        assert stage(probe, name) == "Baking"
        described = probe.describe(name)
        assert described["EndpointStatus"] == "Updating"
        assert described["EndpointConfigName"] == old != newer
        assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 2
        assert described["LastDeploymentConfig"] == canary
        assert described["PendingDeploymentSummary"]["EndpointConfigName"] == newer
        assert pending(described)["CurrentInstanceCount"] == 2
        sound(probe, bell)
        ended = probe.wait(name)
        assert share_of(seen, "old") == 1
    assert set(seen) == {"old", "new"}
    assert_rolled_back(ended, old, bell)


def test_linear_steps_follow_one_another_to_the_end(probe: Probe) -> None:
    name = probe.endpoint(probe.config(probe.model("old"), InitialInstanceCount=3))
    linear = blue_green("LINEAR", 400, LinearStepSize=size("INSTANCE_COUNT", 1), termination_s=50)
    steps = set()
    with load(probe, name) as seen:
        newer = update(probe, name, "new", linear, InitialInstanceCount=3)
        while probe.describe(name)["EndpointStatus"] == "Updating":
            steps.add(stage(probe, name, "StatusMessage"))
        assert share_of(seen, "new") == 1
    assert set(seen) == {"old", "new"}
    shares = ("33%", "67%", "100%")
    assert {f"Step {at} of 3: {share} of the traffic." for at, share in enumerate(shares, 1)} <= steps
    ended = probe.describe(name)
    assert ended["EndpointConfigName"] == newer
    assert "PendingDeploymentSummary" not in ended
    assert "FailureReason" not in ended


def test_a_rolling_update_replaces_instances_batch_by_batch(probe: Probe) -> None:
    name = probe.endpoint(probe.config(probe.model("old"), InitialInstanceCount=3))
    with load(probe, name) as seen:
        newer = update(probe, name, "new", rolling(size("INSTANCE_COUNT", 1), 300), InitialInstanceCount=3)
        totals = set()
        while (described := probe.describe(name))["EndpointStatus"] == "Updating":
            old = described["ProductionVariants"][0]["CurrentInstanceCount"]
            totals.add((old, pending(described).get("CurrentInstanceCount")))
    assert set(seen) == {"old", "new"}
    assert {(3, 1), (2, 2), (1, 3)} <= totals
    assert all(old + new <= 4 for old, new in totals if new is not None)
    assert probe.describe(name)["EndpointConfigName"] == newer
    assert probe.describe(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 3


@pytest.mark.parametrize(
    "deployment",
    [
        blue_green("ALL_AT_ONCE", LONG_S),
        blue_green("LINEAR", LONG_S, LinearStepSize=size("CAPACITY_PERCENT", 50)),
        rolling(size("INSTANCE_COUNT", 1), LONG_S),
    ],
    ids=["all at once", "linear", "rolling"],
)
def test_an_alarm_in_a_baking_period_takes_everything_back(probe: Probe, deployment: dict[str, Any]) -> None:
    old = probe.config(probe.model("old"), InitialInstanceCount=2)
    name = probe.endpoint(old)
    bell = alarm(probe)
    with load(probe, name) as seen:
        update(probe, name, "new", watched_by(bell, deployment), InitialInstanceCount=2)
        eventually(lambda: stage(probe, name) == "Baking" and seen["new"])
        sound(probe, bell)
        ended = probe.wait(name)
        assert share_of(seen, "old") == 1
    assert set(seen) == {"old", "new"}
    assert_rolled_back(ended, old, bell)


def test_an_alarm_that_sounds_already_lets_no_request_through(probe: Probe) -> None:
    name = probe.endpoint(probe.config(probe.model("old")))
    bell = alarm(probe)
    sound(probe, bell)
    with load(probe, name) as seen:
        update(probe, name, "new", watched_by(bell, blue_green("ALL_AT_ONCE", 0)))
        ended = probe.wait(name)
    assert set(seen) == {"old"}
    assert bell in ended["FailureReason"]


def test_a_batch_that_does_not_come_up_is_rolled_back(probe: Probe) -> None:
    old = probe.config(probe.model("old"), InitialInstanceCount=2)
    name = probe.endpoint(old)
    with load(probe, name) as seen:
        broken = probe.config(probe.model("new", EXIT_CODE="7"), InitialInstanceCount=2)
        probe.sagemaker.update_endpoint(
            EndpointName=name,
            EndpointConfigName=broken,
            DeploymentConfig=rolling(size("CAPACITY_PERCENT", 50)),
        )
        ended = probe.wait(name)
    assert set(seen) == {"old"}
    assert_rolled_back(ended, old, "did not pass the ping health check")


def test_the_last_deployment_config_is_used_again_when_it_is_retained(probe: Probe) -> None:
    name = probe.endpoint(probe.config(probe.model("v1"), InitialInstanceCount=2))
    linear = blue_green("LINEAR", 0, LinearStepSize=size("INSTANCE_COUNT", 1))
    update(probe, name, "v2", linear, InitialInstanceCount=2)
    probe.wait(name)
    third = probe.config(probe.model("v3"), InitialInstanceCount=2)
    probe.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=third, RetainDeploymentConfig=True)
    assert probe.wait(name)["LastDeploymentConfig"] == linear
    assert probe.ask(name, "version") == b"v3"
