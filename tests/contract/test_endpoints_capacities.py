"""UpdateEndpointWeightsAndCapacities: instances really come and go, and no request is lost."""

from __future__ import annotations

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.deployment_probe import load, probe
from tests.contract.serving_probe import Probe, eventually, unique

__all__ = ["probe"]


def change(probe: Probe, name: str, **desired: Any) -> None:
    probe.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", **desired}]
    )


def processes(probe: Probe, name: str, wanted: int) -> int:
    """How many different containers answer, once so many have: beside other callers a turn may be passed."""
    found: set[bytes] = set()

    def enough() -> bool:
        found.add(probe.ask(name, "started"))
        return len(found) >= wanted

    eventually(enough)
    return len(found | {probe.ask(name, "started") for _ in range(12)})


def test_instances_come_and_go_under_load(probe: Probe) -> None:
    gate = probe.gate()
    probe.open_gate(gate)
    name = probe.endpoint(probe.config(probe.model(WAIT_FOR=gate)))
    probe.close_gate(gate)
    with load(probe, name) as seen:
        change(probe, name, DesiredInstanceCount=3)
        described = probe.describe(name)
        assert described["EndpointStatus"] == "Updating"
        (variant,) = described["ProductionVariants"]
        assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 3)
        assert variant["VariantStatus"][0]["Status"] == "Updating"
        probe.open_gate(gate)
        (variant,) = probe.wait(name)["ProductionVariants"]
        assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (3, 3)
        assert processes(probe, name, 3) == 3
        change(probe, name, DesiredInstanceCount=1)
        assert probe.wait(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 1
        assert processes(probe, name, 1) == 1
    assert set(seen) == {"v1"}


def test_an_instance_answers_what_it_took_before_it_goes(probe: Probe) -> None:
    name = probe.endpoint(probe.config(InitialInstanceCount=2))
    with ThreadPoolExecutor(2) as callers:
        asked = [callers.submit(probe.ask, name, "pause", b"4") for _ in range(2)]  # one for each instance
        eventually(lambda: all(each.running() for each in asked))
        probe.ask(name)  # they are with the instances by now
        change(probe, name, DesiredInstanceCount=1)
        assert [each.result() for each in asked] == [b"4", b"4"]
    assert probe.wait(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 1


def test_weights_change_who_answers_at_once(probe: Probe) -> None:
    config = unique("config")
    probe.sagemaker.create_endpoint_config(
        EndpointConfigName=config,
        ProductionVariants=[probe.variant(probe.model(name), VariantName=name) for name in ("a", "b")],
    )
    name = probe.endpoint(config)
    probe.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[
            {"VariantName": "a", "DesiredWeight": 3},
            {"VariantName": "b", "DesiredWeight": 1},
        ],
    )
    variants = probe.wait(name)["ProductionVariants"]
    assert [(each["CurrentWeight"], each["DesiredWeight"]) for each in variants] == [(3, 3), (1, 1)]
    assert Counter(probe.ask(name, "version") for _ in range(40)) == {b"a": 30, b"b": 10}


def test_instances_that_do_not_come_up_leave_what_there_was(probe: Probe) -> None:
    model = probe.model()
    name = probe.endpoint(probe.config(model))
    uri = probe.sagemaker.describe_model(ModelName=model)["PrimaryContainer"]["ModelDataUrl"]
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    probe.s3.delete_object(Bucket=bucket, Key=key)  # the next instance has nothing to serve
    with load(probe, name) as seen:
        change(probe, name, DesiredInstanceCount=2, DesiredWeight=5)
        ended = probe.wait(name)
    assert set(seen) == {"v1"}
    assert "Failed to download model data" in ended["FailureReason"]
    (variant,) = ended["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 1)
    assert variant["CurrentWeight"] == 1


def test_after_a_kill_of_the_server_the_desired_instances_are_there(probe: Probe) -> None:
    name = probe.endpoint()
    change(probe, name, DesiredInstanceCount=2)
    probe.server.kill()
    probe.server.start()
    probe.connect()
    (variant,) = probe.wait(name)["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (2, 2)
    assert processes(probe, name, 2) == 2


@pytest.mark.parametrize(
    ("desired", "words"),
    [
        ([{"VariantName": "none", "DesiredWeight": 1}], 'The variant name.s. "none" is/are not present'),
        ([{"VariantName": "AllTraffic"}] * 2, "was non-unique within the request"),
        ([{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}], "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(probe: Probe, desired: list[dict[str, Any]], words: str) -> None:
    name = probe.endpoint()
    with pytest.raises(ClientError, match=words):
        probe.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=desired
        )
    assert probe.describe(name)["EndpointStatus"] == "InService"


def test_an_instance_that_is_killed_while_others_come_is_replaced(probe: Probe) -> None:
    name = probe.endpoint()
    container = probe.process(name)
    change(probe, name, DesiredInstanceCount=2)
    os.kill(container, signal.SIGKILL)
    probe.wait(name)

    def both_answer() -> bool:
        try:
            return processes(probe, name, 2) == 2
        except ClientError:  # this one met the end of the one that was killed
            return False

    eventually(both_answer)
