"""Cool-downs, bounds and agreement between policies, by a clock that the test holds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sagemaker_local.autoscaling import engine as engine_module
from sagemaker_local.autoscaling.engine import AutoScaling
from sagemaker_local.autoscaling.resources import ACTIVITY, DIMENSION, POLICY, TARGET
from sagemaker_local.cloudwatch.alarm_evaluator import Firing
from sagemaker_local.cloudwatch.alarms import METRIC, Alarm
from sagemaker_local.cloudwatch.measurements import Measurement
from sagemaker_local.store import Record, Store

RESOURCE = "endpoint/e/variant/v"


class Endpoints:
    """Endpoints that have their instances at once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set_capacities(self, name: str, changes: dict[str, tuple[float | None, int | None]]) -> None:
        (count,) = (count for _, count in changes.values())
        self._store.update(
            "endpoint", name, lambda record: record.document["ProductionVariants"][0].update(
                DesiredInstanceCount=count)
        )  # fmt: skip


class Scaled:
    """A variant with a target from 1 to 10, and alarms that fire when told."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store(directory / "store.sqlite")
        variants = [{"VariantName": "v", "DesiredInstanceCount": 2}]
        document: dict[str, Any] = {"EndpointStatus": "InService", "ProductionVariants": variants}
        self.store.insert(Record("endpoint", "e", "arn:e", document))
        suspended = dict.fromkeys(("DynamicScalingInSuspended", "DynamicScalingOutSuspended"), False)
        bounds = {"MinCapacity": 1, "MaxCapacity": 10}
        target = {"ResourceId": RESOURCE, **bounds, "SuspendedState": suspended}
        self.store.insert(Record(TARGET, RESOURCE, "arn:t", target, {"variant": ["e", "v"]}))
        self.states: dict[str, str] = {}
        self.now = 1_000_000.0
        monkeypatch.setattr(engine_module, "time", SimpleNamespace(time=lambda: self.now))
        services = SimpleNamespace(
            store=self.store,
            endpoints=Endpoints(self.store),
            settings=SimpleNamespace(scaling_time_scale=1.0),
            alarms=SimpleNamespace(state=self.states.__getitem__),
            alarm_evaluator=SimpleNamespace(actions={}),
        )
        self.engine = AutoScaling(services)  # type: ignore[arg-type]

    def policy(self, name: str, **configuration: Any) -> None:
        kind = "StepScaling" if "StepAdjustments" in configuration else "TargetTrackingScaling"
        document = {
            "PolicyName": name,
            "ResourceId": RESOURCE,
            "ScalableDimension": DIMENSION,
            "Alarms": [{"AlarmName": f"{name}-AlarmLow-1"}],
            f"{kind}PolicyConfiguration": configuration,
        }
        self.store.insert(
            Record(POLICY, name, f"arn:aws:autoscaling:{name}", document, {"variant": ["e", "v"]})
        )

    async def fire(self, policy: str, value: float, side: str = "AlarmHigh") -> int:
        document = {
            "StateValue": "ALARM",
            "EvaluationPeriods": 1,
            "Threshold": 100.0,
            "ComparisonOperator": "GreaterThanThreshold" if side == "AlarmHigh" else "LessThanThreshold",
        }
        alarm = Alarm(f"{policy}-{side}-1", METRIC, document)
        measured = Measurement(0, 60, [0], [value], [True])
        await self.engine.act(Firing(alarm, f"arn:aws:autoscaling:{policy}", measured, True))
        for task in list(self.engine._tasks):
            await task
        count: int = self.store.get("endpoint", "e").document["ProductionVariants"][0]["DesiredInstanceCount"]
        return count


@pytest.fixture
def scaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scaled:
    return Scaled(tmp_path, monkeypatch)


async def test_in_a_cool_down_only_what_exceeds_the_last_activity_comes(scaled: Scaled) -> None:
    scaled.policy("p", TargetValue=100.0, ScaleOutCooldown=60)
    assert await scaled.fire("p", 150.0) == 3
    assert await scaled.fire("p", 150.0) == 3  # the third instance counts as added already
    assert await scaled.fire("p", 300.0) == 6  # of two instances: more than was added
    scaled.now += 61
    assert await scaled.fire("p", 150.0) == 9


async def test_instances_do_not_go_while_any_cool_down_lasts(scaled: Scaled) -> None:
    scaled.policy("p", TargetValue=100.0, ScaleOutCooldown=60, ScaleInCooldown=120)
    assert await scaled.fire("p", 150.0) == 3
    scaled.states["p-AlarmLow-1"] = "ALARM"
    assert await scaled.fire("p", 50.0, "AlarmLow") == 3
    scaled.now += 61
    assert await scaled.fire("p", 50.0, "AlarmLow") == 2
    assert await scaled.fire("p", 10.0, "AlarmLow") == 2
    assert await scaled.fire("p", 110.0) == 3  # but they come at once
    scaled.now += 121
    assert await scaled.fire("p", 10.0, "AlarmLow") == 1


async def test_all_target_tracking_policies_must_spare_instances(scaled: Scaled) -> None:
    scaled.policy("p", TargetValue=100.0)
    scaled.policy("q", TargetValue=100.0)
    scaled.states |= {"p-AlarmLow-1": "ALARM", "q-AlarmLow-1": "OK"}
    assert await scaled.fire("p", 10.0, "AlarmLow") == 2
    scaled.states["q-AlarmLow-1"] = "ALARM"
    assert await scaled.fire("p", 10.0, "AlarmLow") == 1


async def test_scale_in_disabled(scaled: Scaled) -> None:
    scaled.policy("p", TargetValue=100.0, DisableScaleIn=True)
    scaled.states["p-AlarmLow-1"] = "ALARM"
    assert await scaled.fire("p", 10.0, "AlarmLow") == 2


async def test_bounds_hold(scaled: Scaled) -> None:
    scaled.policy("p", TargetValue=1.0, ScaleOutCooldown=0, ScaleInCooldown=0)
    assert await scaled.fire("p", 1e6) == 10
    assert await scaled.fire("p", 1e6) == 10
    scaled.states["p-AlarmLow-1"] = "ALARM"
    scaled.now += 1
    assert await scaled.fire("p", 0.0, "AlarmLow") == 1


async def test_steps_count_what_a_cool_down_added(scaled: Scaled) -> None:
    steps = [
        {"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 50.0, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 50.0, "ScalingAdjustment": 4},
    ]
    scaled.policy("s", AdjustmentType="ChangeInCapacity", StepAdjustments=steps, Cooldown=60)
    assert await scaled.fire("s", 120.0) == 3
    assert await scaled.fire("s", 120.0) == 3
    assert await scaled.fire("s", 170.0) == 6  # four more than the two there were
    scaled.now += 61
    assert await scaled.fire("s", 120.0) == 7


async def test_an_endpoint_that_is_changing_is_left_alone(scaled: Scaled) -> None:
    scaled.policy("p", TargetValue=100.0)
    scaled.store.update("endpoint", "e", lambda record: record.document.update(EndpointStatus="Updating"))
    assert await scaled.fire("p", 500.0) == 2
    assert scaled.store.list(ACTIVITY) == []
