"""DeploymentConfigs that AWS refuses, refused before anything happens."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.deployment_probe import blue_green, probe, rolling, size, watched_by
from tests.contract.serving_probe import Probe, unique

__all__ = ["probe"]


@pytest.fixture(scope="module")
def endpoint(probe: Probe) -> str:
    """An endpoint of two instances that nothing may change."""
    return probe.endpoint(probe.config(probe.model("kept"), InitialInstanceCount=2))


def refused(probe: Probe, name: str, deployment: dict[str, Any], config: str | None = None) -> str:
    with pytest.raises(ClientError) as refusal:
        probe.sagemaker.update_endpoint(
            EndpointName=name,
            EndpointConfigName=config or probe.config(probe.model("new"), InitialInstanceCount=2),
            DeploymentConfig=deployment,
        )
    assert refusal.value.response["Error"]["Code"] == "ValidationException"
    described = probe.describe(name)
    assert described["EndpointStatus"] == "InService"
    assert "LastDeploymentConfig" not in described
    return str(refusal.value)


@pytest.mark.parametrize(
    ("deployment", "words"),
    [
        (blue_green("CANARY"), "CanarySize is required"),
        (blue_green("LINEAR", CanarySize=size("INSTANCE_COUNT", 1)), "LinearStepSize is required"),
        (
            blue_green("ALL_AT_ONCE", CanarySize=size("INSTANCE_COUNT", 1)),
            "CanarySize cannot be specified when TrafficRoutingConfiguration Type is ALL_AT_ONCE",
        ),
        (blue_green("CANARY", CanarySize=size("CAPACITY_PERCENT", 51)), "between 1 and 50 percent"),
        (blue_green("CANARY", CanarySize=size("INSTANCE_COUNT", 2)), "between 1 and 50 percent of the total"),
        (blue_green("LINEAR", LinearStepSize=size("CAPACITY_PERCENT", 9)), "between 10 and 50 percent"),
        (rolling(size("CAPACITY_PERCENT", 4)), "between 5 and 50 percent"),
        (rolling(size("INSTANCE_COUNT", 2)), "which is 2"),
        (
            rolling(size("INSTANCE_COUNT", 1), RollbackMaximumBatchSize=size("INSTANCE_COUNT", 3)),
            "RollbackMaximumBatchSize Value 3",
        ),
        (
            {**blue_green("ALL_AT_ONCE"), **rolling(size("INSTANCE_COUNT", 1))},
            "Only one update policy can be used",
        ),
        (
            rolling(size("INSTANCE_COUNT", 1), 400, MaximumExecutionTimeoutInSeconds=600),
            "must be larger than the total waiting time",
        ),
        (watched_by("no-such-alarm", blue_green("ALL_AT_ONCE")), "no-such-alarm"),
    ],
)
def test_what_cannot_be_is_refused(
    probe: Probe, endpoint: str, deployment: dict[str, Any], words: str
) -> None:
    assert words in refused(probe, endpoint, deployment)


def test_guardrails_need_the_same_variants(probe: Probe, endpoint: str) -> None:
    other = probe.config(VariantName="other", InitialInstanceCount=2)
    canary = blue_green("CANARY", CanarySize=size("INSTANCE_COUNT", 1))
    assert "variant names" in refused(probe, endpoint, canary, other)


def test_a_rolling_update_is_for_one_variant(probe: Probe) -> None:
    config = unique("config")
    variants = [probe.variant(probe.model(), VariantName=name) for name in ("a", "b")]
    probe.sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=variants)
    name = probe.endpoint(config)
    batch = rolling(size("CAPACITY_PERCENT", 50))
    assert "multi-variant" in refused(probe, name, batch, config)


def test_a_config_is_given_or_retained_not_both(probe: Probe, endpoint: str) -> None:
    with pytest.raises(ClientError, match="RetainDeploymentConfig is true"):
        probe.sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=probe.config(),
            DeploymentConfig=blue_green("ALL_AT_ONCE"),
            RetainDeploymentConfig=True,
        )
