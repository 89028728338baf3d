"""Application Auto Scaling: real instances of a real endpoint come and go under real load."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import IMAGES, Probe, eventually, unique

TIME_SCALE = 0.02
"""A period of a minute takes a second, which is the least."""
PATIENCE_S = 300.0
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
INVOCATIONS = "SageMakerVariantInvocationsPerInstance"


class Scaling:
    """One variant of one endpoint, and the calls that scale it."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.client = probe.server.client("application-autoscaling")
        self.cloudwatch = probe.server.client("cloudwatch")
        self.endpoint = probe.endpoint()
        self.target = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{self.endpoint}/variant/AllTraffic",
            "ScalableDimension": DIMENSION,
        }

    def register(self, least: int = 1, most: int = 2, **more: Any) -> str:
        arn: str = self.client.register_scalable_target(
            **self.target, MinCapacity=least, MaxCapacity=most, **more
        )["ScalableTargetARN"]
        return arn

    def track(self, name: str = "tracking", **configuration: Any) -> dict[str, Any]:
        configuration = {
            "TargetValue": 600.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": INVOCATIONS},
            "ScaleOutCooldown": 0,
            "ScaleInCooldown": 0,
        } | configuration
        made: dict[str, Any] = self.client.put_scaling_policy(
            **self.target,
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )
        return made

    def step(self, *steps: dict[str, Any], name: str = "steps", **configuration: Any) -> str:
        arn: str = self.client.put_scaling_policy(
            **self.target,
            PolicyName=name,
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={
                "AdjustmentType": "ChangeInCapacity",
                "StepAdjustments": list(steps),
                "Cooldown": 0,
                **configuration,
            },
        )["PolicyARN"]
        return arn

    def alarm_for(self, policy_arn: str) -> str:
        """An alarm of nobody's metric that a test sets by hand."""
        name = unique("alarm")
        self.cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="Test",
            MetricName="none",
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0.0,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="ignore",
            AlarmActions=[policy_arn],
        )
        return name

    def set(self, alarm: str, state: str) -> None:
        self.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue=state, StateReason="by hand")

    def count(self) -> int:
        (variant,) = self.probe.describe(self.endpoint)["ProductionVariants"]
        count: int = variant["CurrentInstanceCount"]
        return count

    def settled(self, count: int) -> None:
        eventually(
            lambda: (
                self.count() == count and self.probe.describe(self.endpoint)["EndpointStatus"] == "InService"
            ),
            PATIENCE_S,
        )

    def activities(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.describe_scaling_activities(
            ServiceNamespace="sagemaker", ResourceId=self.target["ResourceId"]
        )["ScalingActivities"]
        return found

    def succeeded(self, count: int) -> dict[str, Any]:
        """The activity that made so many, once it is over."""
        wanted = f"Setting desired instance count to {count}."

        def look() -> dict[str, Any] | None:
            over = (each for each in self.activities() if each["StatusCode"] == "Successful")
            return next((each for each in over if each["Description"] == wanted), None)

        found: dict[str, Any] = eventually(look, PATIENCE_S)
        return found


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    data = tmp_path_factory.mktemp("scaling") / "data"
    server = LocalServer(data, IMAGES, "--scaling-time-scale", str(TIME_SCALE), "--stop-grace-s", "5").start()
    yield Probe(server)
    server.stop()


@pytest.fixture
def scaling(probe: Probe) -> Iterator[Scaling]:
    scaled = Scaling(probe)
    yield scaled
    probe.delete(scaled.endpoint)


class Load:
    """Threads that invoke an endpoint without a pause; every failure is kept."""

    def __init__(self, ask: Callable[[], object], threads: int) -> None:
        self._ask, self._end = ask, threading.Event()
        self.answered, self.failures = 0, list[BaseException]()
        self._pool = ThreadPoolExecutor(threads)
        self._futures = [self._pool.submit(self._run) for _ in range(threads)]

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._ask()
                self.answered += 1
            except Exception as error:
                self.failures.append(error)

    def stop(self) -> None:
        self._end.set()
        self._pool.shutdown()


def test_target_tracking_follows_real_load_out_and_in_without_a_failed_request(scaling: Scaling) -> None:
    scaling.register(1, 2)
    made = scaling.track()
    names = [alarm["AlarmName"] for alarm in made["Alarms"]]
    described = scaling.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    assert sorted(alarm["ComparisonOperator"] for alarm in described) == [
        "GreaterThanThreshold",
        "LessThanThreshold",
    ]
    assert {alarm["MetricName"] for alarm in described} == {"InvocationsPerInstance"}
    load = Load(lambda: scaling.probe.ask(scaling.endpoint, "pause", b"0.05"), 6)
    try:
        activity = scaling.succeeded(2)
        assert "-AlarmHigh-" in activity["Cause"]
        assert activity["Cause"].endswith("in state ALARM triggered policy tracking")
        assert activity["StatusMessage"] == (
            "Successfully set desired instance count to 2. Change successfully fulfilled by sagemaker."
        )
        scaling.settled(2)
    finally:
        load.stop()
    assert load.failures == []
    assert load.answered > 10

    def unhurried() -> None:
        time.sleep(0.4)
        scaling.probe.ask(scaling.endpoint)

    eased = Load(unhurried, 1)
    try:
        activity = scaling.succeeded(1)
        scaling.settled(1)
    finally:
        eased.stop()
    assert eased.failures == []
    assert "-AlarmLow-" in activity["Cause"]
    counts = {int(each["Description"].split()[-1].rstrip(".")) for each in scaling.activities()}
    assert counts <= {1, 2}, "never beyond the target's bounds"


def test_steps_by_an_alarm_of_ones_own(scaling: Scaling) -> None:
    scaling.register(1, 3)
    out = scaling.alarm_for(
        scaling.step({"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 5}, Cooldown=3600, name="out")
    )
    scaling.set(out, "ALARM")
    scaling.settled(3)  # five more would be beyond the most
    activity = scaling.succeeded(3)
    assert activity["Cause"] == f"monitor alarm {out} in state ALARM triggered policy out"
    scaling.set(out, "OK")
    there = scaling.alarm_for(
        scaling.step(
            {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1},
            AdjustmentType="ExactCapacity",
            name="exact",
        )
    )
    scaling.client.delete_scaling_policy(**scaling.target, PolicyName="out")
    scaling.set(there, "ALARM")
    scaling.settled(1)


def test_bounds_take_effect_at_once(scaling: Scaling) -> None:
    scaling.register(2, 3)
    scaling.settled(2)
    assert scaling.succeeded(2)["Cause"] == "minimum capacity was set to 2"
    scaling.register(1, 1)
    scaling.settled(1)
    assert scaling.succeeded(1)["Cause"] == "maximum capacity was set to 1"


def test_suspended_scaling_does_nothing_until_resumed(scaling: Scaling) -> None:
    scaling.register(1, 2, SuspendedState={"DynamicScalingOutSuspended": True})
    alarm = scaling.alarm_for(scaling.step({"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}))
    scaling.set(alarm, "ALARM")
    eventually(lambda: "Action" in {
        item["HistoryItemType"]
        for item in scaling.cloudwatch.describe_alarm_history(AlarmName=alarm)["AlarmHistoryItems"]
    })  # fmt: skip
    assert scaling.activities() == []
    scaling.register(1, 2, SuspendedState={"DynamicScalingOutSuspended": False})
    scaling.set(alarm, "OK")
    scaling.set(alarm, "ALARM")
    scaling.settled(2)


def test_a_scheduled_action_changes_the_bounds(scaling: Scaling) -> None:
    scaling.register(1, 2)
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1))
    scaling.client.put_scheduled_action(
        **scaling.target,
        ScheduledActionName="two",
        Schedule=f"at({soon})",
        ScalableTargetAction={"MinCapacity": 2},
    )
    scaling.settled(2)
    causes = {each["Cause"] for each in scaling.activities()}
    assert causes >= {"scheduled action name two was triggered", "minimum capacity was set to 2"}
    assert scaling.client.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"] == []


def test_what_is_described_is_what_was_put(scaling: Scaling) -> None:
    arn = scaling.register(1, 4, Tags={"team": "models"})
    (target,) = scaling.client.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[scaling.target["ResourceId"]]
    )["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"], target["ScalableTargetARN"]) == (1, 4, arn)
    assert scaling.client.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "models"}
    first = scaling.track(DisableScaleIn=True, TargetValue=70.0)
    again = scaling.track(TargetValue=50.0)
    assert again["PolicyARN"] == first["PolicyARN"]
    scaling.step({"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1})
    pages = scaling.client.get_paginator("describe_scaling_policies").paginate(
        ServiceNamespace="sagemaker",
        ResourceId=scaling.target["ResourceId"],
        PaginationConfig={"PageSize": 1},
    )
    policies = {each["PolicyName"]: each for page in pages for each in page["ScalingPolicies"]}
    assert policies.keys() == {"tracking", "steps"}
    assert policies["tracking"]["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 50.0
    assert policies["tracking"]["Alarms"] == again["Alarms"]
    gone = [alarm["AlarmName"] for alarm in first["Alarms"]]
    assert scaling.cloudwatch.describe_alarms(AlarmNames=gone)["MetricAlarms"] == []
    scaling.client.deregister_scalable_target(**scaling.target)
    assert (
        scaling.cloudwatch.describe_alarms(AlarmNamePrefix=f"TargetTracking-{scaling.target['ResourceId']}")[
            "MetricAlarms"
        ]
        == []
    )
    with pytest.raises(scaling.client.exceptions.ObjectNotFoundException):
        scaling.client.deregister_scalable_target(**scaling.target)


def refused(call: Callable[..., object], **request: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**request)
    assert error.value.response["Error"]["Code"] == "ValidationException"
    return str(error.value.response["Error"]["Message"])


def test_what_cannot_be_is_refused(scaling: Scaling) -> None:
    register, put = scaling.client.register_scalable_target, scaling.client.put_scaling_policy
    bounds = {"MinCapacity": 1, "MaxCapacity": 2}
    target = scaling.target
    with pytest.raises(scaling.client.exceptions.ObjectNotFoundException, match="No scalable target"):
        scaling.track()
    assert "MinCapacity" in refused(register, **target)
    assert "less than minimum" in refused(register, **target, MinCapacity=3, MaxCapacity=2)
    assert "1 or more" in refused(register, **target, MinCapacity=0, MaxCapacity=2)
    assert "no variant" in refused(register, **{**target, "ResourceId": target["ResourceId"] + "s"}, **bounds)
    assert "does not exist" in refused(
        register, **{**target, "ResourceId": "endpoint/no/variant/v"}, **bounds
    )
    assert "DesiredCopyCount" in refused(
        register,
        **{**target, "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount"},
        **bounds,
    )
    assert "of ecs" in refused(
        register,
        **{**target, "ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"},
        **bounds,
    )
    scaling.register()
    assert "PredictiveScaling" in refused(
        put, **target, PolicyName="p", PolicyType="PredictiveScaling",
        PredictiveScalingPolicyConfiguration={"MetricSpecifications": [{"TargetValue": 1.0}]},
    )  # fmt: skip
    assert "overlap" in refused(
        scaling.step,
        name="p",
        AdjustmentType="ChangeInCapacity",
        StepAdjustments=[
            {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1},
            {"MetricIntervalLowerBound": 5.0, "ScalingAdjustment": 1},
        ],
    )
    assert "LambdaProvisionedConcurrencyUtilization" in refused(
        scaling.track,
        PredefinedMetricSpecification={"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"},
    )
    assert "cron" in refused(
        scaling.client.put_scheduled_action, **target, ScheduledActionName="s", Schedule="every day",
        ScalableTargetAction={"MinCapacity": 1},
    )  # fmt: skip


def test_scaling_survives_a_kill(start_server: Callable[..., LocalServer]) -> None:
    server = start_server("--scaling-time-scale", str(TIME_SCALE), containers=IMAGES)
    scaling = Scaling(Probe(server))
    scaling.register(1, 2)
    alarm = scaling.alarm_for(scaling.step({"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}))
    scaling.set(alarm, "ALARM")
    eventually(scaling.activities, PATIENCE_S)
    server.kill()
    server.start()
    scaling.probe.connect()
    scaling.client = server.client("application-autoscaling")
    scaling.cloudwatch = server.client("cloudwatch")
    scaling.settled(2)
    assert scaling.succeeded(2)["EndTime"]
    assert scaling.cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"] == "ALARM"
