"""Shadow variants: copies of requests, whose answers nobody gets and whose troubles nobody has."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.deployment_probe import probe
from tests.contract.serving_probe import BUCKET, Probe, eventually, unique

__all__ = ["probe"]


def shadowed(probe: Probe, *, weight: float = 1.0, capture: bool = False, **environment: str) -> str:
    """An endpoint with a production and a shadow variant; the environment is the shadow's."""
    config = unique("config")
    shown = probe.model("shadow", SHOW_REQUESTS="yes", **environment)
    more: dict[str, Any] = {}
    if capture:
        more["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{BUCKET}/captured",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        }
    probe.sagemaker.create_endpoint_config(
        EndpointConfigName=config,
        ProductionVariants=[probe.variant(probe.model("production"))],
        ShadowProductionVariants=[
            probe.variant(shown, VariantName="Shadow", InitialVariantWeight=weight, InitialInstanceCount=2)
        ],
        **more,
    )
    return probe.endpoint(config)


def copies(probe: Probe, name: str) -> list[str]:
    lines = probe.printed(name)
    return sorted(line.removeprefix("asked ") for line in lines if line.startswith("asked "))


def invocations(probe: Probe, name: str, variant: str, metric: str = "Invocations") -> float:
    now = datetime.datetime.now(datetime.UTC)
    statistics = probe.server.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[
            {"Name": "EndpointName", "Value": name},
            {"Name": "VariantName", "Value": variant},
        ],
        StartTime=now - datetime.timedelta(hours=1),
        EndTime=now + datetime.timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in statistics["Datapoints"]))


def stored(probe: Probe, prefix: str) -> int:
    count: int = probe.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["KeyCount"]
    return count


def test_every_request_is_copied_and_only_production_answers(probe: Probe) -> None:
    name = shadowed(probe, capture=True)
    described = probe.describe(name)
    assert [each["VariantName"] for each in described["ProductionVariants"]] == ["AllTraffic"]
    (shadow,) = described["ShadowProductionVariants"]
    assert (shadow["VariantName"], shadow["CurrentInstanceCount"], shadow["CurrentWeight"]) == (
        "Shadow",
        2,
        1,
    )
    asked = sorted(f"request-{number}" for number in range(8))
    assert {probe.ask(name, "version", body.encode()) for body in asked} == {b"production"}
    eventually(lambda: copies(probe, name) == asked)
    eventually(lambda: invocations(probe, name, "Shadow") == len(asked))
    assert invocations(probe, name, "AllTraffic") == len(asked)
    prefixes = {f"captured/{name}/{variant}/" for variant in ("AllTraffic", "Shadow")}
    eventually(lambda: all(stored(probe, prefix) for prefix in prefixes))


def test_the_weight_is_the_share_that_is_copied_and_can_change(probe: Probe) -> None:
    name = shadowed(probe, weight=0.25)
    for number in range(8):
        probe.ask(name, "version", f"first-{number}".encode())
    eventually(lambda: len(copies(probe, name)) == 2)
    probe.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "Shadow", "DesiredWeight": 0.5}]
    )
    assert probe.wait(name)["ShadowProductionVariants"][0]["CurrentWeight"] == 0.5
    for number in range(8):
        probe.ask(name, "version", f"second-{number}".encode())
    eventually(lambda: len(copies(probe, name)) == 6)


@pytest.mark.parametrize("trouble", [{"FAILING": "yes"}, {"DELAY_S": "5"}], ids=["fails", "is slow"])
def test_a_shadow_in_trouble_is_nobodys_trouble(probe: Probe, trouble: dict[str, str]) -> None:
    name = shadowed(probe, weight=1.0, capture=False, **trouble)
    assert {probe.ask(name, "version", b"x") for _ in range(20)} == {b"production"}
    eventually(lambda: copies(probe, name))
    if "FAILING" in trouble:
        eventually(lambda: invocations(probe, name, "Shadow", "Invocation5XXErrors") == 20)
    assert invocations(probe, name, "AllTraffic", "Invocation5XXErrors") == 0


def test_nobody_can_ask_a_shadow(probe: Probe) -> None:
    name = shadowed(probe)
    with pytest.raises(ClientError, match=f"Variant Shadow not found for endpoint {name}"):
        probe.ask(name, "version", TargetVariant="Shadow")


@pytest.mark.parametrize(
    ("production", "shadows", "words"),
    [
        (["a", "b"], ["c"], "there are 2 and 1"),
        (["a"], ["a"], "Duplicate variant names"),
    ],
)
def test_one_production_variant_and_one_shadow(
    probe: Probe, production: list[str], shadows: list[str], words: str
) -> None:
    model = probe.model()
    with pytest.raises(ClientError, match=re.escape(words)):
        probe.sagemaker.create_endpoint_config(
            EndpointConfigName=unique("config"),
            ProductionVariants=[probe.variant(model, VariantName=name) for name in production],
            ShadowProductionVariants=[probe.variant(model, VariantName=name) for name in shadows],
        )
