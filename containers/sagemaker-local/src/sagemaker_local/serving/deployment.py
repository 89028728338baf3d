"""A DeploymentConfig as steps: how many instances of which fleet, which share of the requests, how long.

Pure functions; :mod:`sagemaker_local.serving.rollout` does what they say. Source:
https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Counts = Mapping[str, int]
"""Instances by variant."""

ALL_AT_ONCE: Mapping[str, Any] = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    }
}
"""What AWS does without a DeploymentConfig."""


@dataclass(frozen=True, slots=True)
class Step:
    """One shift of traffic and the baking after it.

    Attributes:
        new_up: Instances of the new fleet that run before the shift.
        new_on: Those of them that take requests from the shift on.
        share: The new fleet's share of the requests, from 0 to 1.
        bake_s: How long alarms are watched then.
        old_up: Instances of the old fleet that are kept after the baking.
    """

    new_up: Counts
    new_on: Counts
    share: float
    bake_s: float
    old_up: Counts


@dataclass(frozen=True, slots=True)
class Deployment:
    """A whole deployment.

    Attributes:
        steps: One after the other; the last one gives everything to the new fleet.
        termination_wait_s: After the last baking, before what is left of the old fleet ends.
        timeout_s: What takes longer is rolled back; None for no limit.
        alarms: Names of the alarms that roll it back.
        rolling: The old fleet shrinks on the way, so that a roll-back must bring instances up again.
    """

    steps: tuple[Step, ...]
    termination_wait_s: float
    timeout_s: float | None
    alarms: tuple[str, ...]
    rolling: bool

    @property
    def waits_s(self) -> float:
        """All the waiting that it asks for."""
        return sum(step.bake_s for step in self.steps) + self.termination_wait_s


def deployment(config: Mapping[str, Any], *, old: Counts, new: Counts) -> Deployment:
    """The steps from one fleet to another.

    Args:
        config: A valid DeploymentConfig; empty for AWS's default, all at once.
        old: The old fleet's instances by variant.
        new: The new fleet's.
    """
    alarms = tuple(alarm["AlarmName"] for alarm in alarms_of(config))
    if rolling := config.get("RollingUpdatePolicy"):
        return Deployment(
            steps=tuple(_rolling_steps(rolling, old, new)),
            termination_wait_s=0.0,
            timeout_s=rolling.get("MaximumExecutionTimeoutInSeconds"),
            alarms=alarms,
            rolling=True,
        )
    policy = config.get("BlueGreenUpdatePolicy") or ALL_AT_ONCE["BlueGreenUpdatePolicy"]
    routing = policy["TrafficRoutingConfiguration"]
    return Deployment(
        steps=tuple(_blue_green_steps(routing, old, new)),
        termination_wait_s=policy.get("TerminationWaitInSeconds", 0),
        timeout_s=policy.get("MaximumExecutionTimeoutInSeconds"),
        alarms=alarms,
        rolling=False,
    )


def alarms_of(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The alarms of a DeploymentConfig that are named."""
    given = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    return [alarm for alarm in given if "AlarmName" in alarm]


def instances_of(size: Mapping[str, Any], count: int) -> int:
    """A CapacitySize in instances of a variant that has so many: never none, never more than there are."""
    if size["Type"] == "INSTANCE_COUNT":
        return max(1, min(int(size["Value"]), count))
    return max(1, min(count * int(size["Value"]) // 100, count))


def roll_back_batches(config: Mapping[str, Any], old: Counts) -> Iterator[Counts]:
    """The old fleet's instances by variant, step by step until all are back; all at once by default."""
    size = config.get("RollingUpdatePolicy", {}).get("RollbackMaximumBatchSize")
    up = dict.fromkeys(old, 0)
    while up != dict(old):
        for name, count in old.items():
            up[name] = min(count, up[name] + (instances_of(size, count) if size else count))
        yield dict(up)


def _blue_green_steps(routing: Mapping[str, Any], old: Counts, new: Counts) -> Iterator[Step]:
    """The new fleet is up as a whole from the beginning; its instances are turned on step by step."""
    bake_s = float(routing["WaitIntervalInSeconds"])
    for share, turned_on in _shifts(routing, new):
        yield Step(new_up=dict(new), new_on=turned_on, share=share, bake_s=bake_s, old_up=dict(old))


def _shifts(routing: Mapping[str, Any], new: Counts) -> Iterator[tuple[float, Counts]]:
    if routing["Type"] == "CANARY":
        size = routing["CanarySize"]
        yield _share(size, 1, new), _turned_on(size, 1, new)
    if routing["Type"] == "LINEAR":
        size, number = routing["LinearStepSize"], 1
        while (share := _share(size, number, new)) < 1:
            yield share, _turned_on(size, number, new)
            number += 1
    yield 1.0, dict(new)


def _share(size: Mapping[str, Any], number: int, new: Counts) -> float:
    """Of the requests, after so many steps; by per cent it is exact, however few instances there are."""
    if size["Type"] == "CAPACITY_PERCENT":
        return min(1.0, number * int(size["Value"]) / 100)
    total = sum(new.values())
    return sum(_turned_on(size, number, new).values()) / total if total else 1.0


def _turned_on(size: Mapping[str, Any], number: int, new: Counts) -> Counts:
    if size["Type"] == "INSTANCE_COUNT":
        return {name: min(count, number * int(size["Value"])) for name, count in new.items()}
    return {name: min(count, _ceiling(count * number * size["Value"], 100)) for name, count in new.items()}


def _rolling_steps(policy: Mapping[str, Any], old: Counts, new: Counts) -> Iterator[Step]:
    """Batches of the new fleet come up and take their share; after each baking as much of the old goes."""
    size, bake_s = policy["MaximumBatchSize"], float(policy["WaitIntervalInSeconds"])
    up, total = dict.fromkeys(new, 0), sum(new.values())
    while up != dict(new):
        for name, count in new.items():
            up[name] = min(count, up[name] + instances_of(size, count))
        yield Step(
            new_up=dict(up),
            new_on=dict(up),
            share=sum(up.values()) / total,
            bake_s=bake_s,
            old_up={name: _ceiling(count * (total - sum(up.values())), total) for name, count in old.items()},
        )


def _ceiling(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
