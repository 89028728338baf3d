"""A rollout over fleets that are numbers: what is up, who gets requests, the way back from every place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sagemaker_local.serving import rollout as rollouts
from sagemaker_local.serving.deployment import deployment
from sagemaker_local.serving.deployment_clock import DeploymentClock
from sagemaker_local.serving.fleet import Fleet, FleetError
from sagemaker_local.serving.rollout import RollBackFailed, RolledBack, Rollout
from sagemaker_local.serving.traffic import Traffic

ROLLING = {
    "RollingUpdatePolicy": {
        "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
        "WaitIntervalInSeconds": 60,
        "MaximumExecutionTimeoutInSeconds": 600,
        "RollbackMaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "bell"}]},
}


class Numbers:
    """A fleet of nothing but counts; `most` is how many instances there can be."""

    def __init__(self, count: int, up: int, most: int = 99) -> None:
        variant = SimpleNamespace(name="a", instances=count, shadow=False)
        self.plan = SimpleNamespace(counts={"a": count}, variants=[variant])
        self.counts = {"a": up}
        self.on = up
        self.most = most
        self.history: list[int] = []

    async def scale(self, counts: Mapping[str, int]) -> None:
        if counts.get("a", 0) > self.most:
            raise FleetError("no more instances")
        self.counts |= counts
        self.on = min(self.on, self.counts["a"])
        self.history.append(self.counts["a"])

    def turn_on(self, counts: Mapping[str, int]) -> None:
        self.on = counts["a"]


class Bell:
    """An alarm that sounds after so many looks."""

    def __init__(self, looks: int | None = None) -> None:
        self.looks = looks

    def state(self, name: str) -> str:
        if name != "bell":
            raise KeyError(name)
        if self.looks is None:
            return "OK"
        self.looks -= 1
        return "ALARM" if self.looks < 0 else "OK"


class Scene:
    """An old fleet of three, a new one to be, and what a rollout reports."""

    def __init__(self, bell: Bell | None = None, *, new_most: int = 99, scale: float = 0.0) -> None:
        self.old, self.new = Numbers(3, 3), Numbers(3, 0, new_most)
        self.traffic = Traffic(cast(Fleet, self.old))
        self.reports: list[tuple[int, str]] = []
        self.baked: list[float] = []
        self.clock = DeploymentClock(scale)
        self.rollout = Rollout(
            deployment(ROLLING, old={"a": 3}, new={"a": 3}),
            config=ROLLING,
            traffic=self.traffic,
            old=cast(Fleet, self.old),
            new=cast(Fleet, self.new),
            alarms=bell or Bell(),
            clock=self.clock,
            report=self.report,
        )

    def report(self, step: int, what: str, why: str) -> None:
        self.reports.append((step, what))
        shares = self.shares()
        assert all(fleet.on for fleet in shares), "requests go where nothing is on"
        if what == "Baking":
            self.baked.append(shares.get(self.new, 0.0))

    def shares(self) -> dict[Numbers, float]:
        taken = Counter(cast(Any, self.traffic.fleet()) for _ in range(300))
        return {fleet: number / 300 for fleet, number in taken.items()}


async def test_batches_come_and_go_and_each_is_baked() -> None:
    scene = Scene()
    await scene.rollout.run()
    assert scene.new.history == [1, 2, 3]
    assert scene.old.history == [2, 1, 0]
    assert scene.shares() == {scene.new: 1.0}
    each = ("Creating", "ActivatingTraffic", "Baking", "Deleting")
    assert scene.reports == [(step, what) for step in range(3) for what in each]
    assert scene.baked == pytest.approx([1 / 3, 2 / 3, 1], abs=0.01)
    assert scene.clock.elapsed_s >= 180


async def test_an_alarm_half_way_brings_the_old_instances_back_batch_by_batch() -> None:
    scene = Scene(Bell(looks=5))  # a few looks into the second baking
    with pytest.raises(RolledBack, match="bell"):
        await scene.rollout.run()
    assert scene.shares() == {scene.old: 1.0}
    assert (scene.old.counts["a"], scene.old.on) == (3, 3)
    assert scene.old.history[-2:] == [2, 3]
    assert scene.reports[-1] == (1, "RollingBack")


async def test_a_batch_that_does_not_come_up_rolls_back_with_its_reason() -> None:
    scene = Scene(new_most=1)
    with pytest.raises(RolledBack, match="no more instances"):
        await scene.rollout.run()
    assert scene.shares() == {scene.old: 1.0}


async def test_what_takes_longer_than_allowed_rolls_back() -> None:
    scene = Scene()
    scene.clock = scene.rollout._clock = DeploymentClock(0.0, elapsed_s=500)
    with pytest.raises(RolledBack, match=r"MaximumExecutionTimeoutInSeconds \(600\)"):
        await scene.rollout.run()
    assert scene.shares() == {scene.old: 1.0}


async def test_an_old_fleet_that_does_not_come_back_leaves_both_serving() -> None:
    scene = Scene(Bell(looks=5))
    scene.old.most = 2
    with pytest.raises(RollBackFailed, match=r"bell.*no more instances"):
        await scene.rollout.run()
    assert set(scene.shares()) == {scene.old, scene.new}
    assert all(fleet.on for fleet in scene.shares())


async def test_an_interrupted_rollout_goes_on_where_it_was() -> None:
    scene = Scene()
    await scene.old.scale({"a": 2})
    await scene.rollout.run(first=1)
    assert scene.new.history == [1, 2, 3]
    assert scene.reports[0] == (1, "Creating")
    assert scene.shares() == {scene.new: 1.0}


async def test_alarms_are_watched_all_through_a_baking_period(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "ALARM_POLL_S", 0.001)
    scene = Scene(Bell(looks=20), scale=0.001)  # 60 looks a baking
    with pytest.raises(RolledBack):
        await scene.rollout.run()
    assert scene.reports[-1] == (0, "RollingBack")
