"""DeploymentConfigs as steps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.serving.deployment import deployment, instances_of, roll_back_batches


def size(kind: str, value: int) -> dict[str, Any]:
    return {"Type": kind, "Value": value}


def blue_green(kind: str, **sizes: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": 60, **sizes}
    policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 30}
    return {"BlueGreenUpdatePolicy": policy}


def rolling(batch: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": 60, **more}}


def steps(config: dict[str, Any], old: int, new: int) -> list[tuple[int, int, float, int]]:
    """Of one variant: new instances up, of them on, their share in per cent, old instances kept."""
    plan = deployment(config, old={"a": old}, new={"a": new})
    return [(s.new_up["a"], s.new_on["a"], round(100 * s.share), s.old_up["a"]) for s in plan.steps]


@pytest.mark.parametrize(
    ("config", "old", "new", "expected"),
    [
        ({}, 2, 3, [(3, 3, 100, 2)]),
        (blue_green("ALL_AT_ONCE"), 1, 1, [(1, 1, 100, 1)]),
        (blue_green("CANARY", CanarySize=size("INSTANCE_COUNT", 1)), 4, 4, [(4, 1, 25, 4), (4, 4, 100, 4)]),
        # By per cent the share is exact, also of a single instance.
        (
            blue_green("CANARY", CanarySize=size("CAPACITY_PERCENT", 10)),
            1,
            1,
            [(1, 1, 10, 1), (1, 1, 100, 1)],
        ),
        (
            blue_green("LINEAR", LinearStepSize=size("CAPACITY_PERCENT", 33)),
            3,
            3,
            [(3, 1, 33, 3), (3, 2, 66, 3), (3, 3, 99, 3), (3, 3, 100, 3)],
        ),
        (
            blue_green("LINEAR", LinearStepSize=size("INSTANCE_COUNT", 2)),
            5,
            5,
            [(5, 2, 40, 5), (5, 4, 80, 5), (5, 5, 100, 5)],
        ),
        (rolling(size("INSTANCE_COUNT", 1)), 3, 3, [(1, 1, 33, 2), (2, 2, 67, 1), (3, 3, 100, 0)]),
        (rolling(size("CAPACITY_PERCENT", 50)), 4, 2, [(1, 1, 50, 2), (2, 2, 100, 0)]),
        (rolling(size("CAPACITY_PERCENT", 50)), 1, 1, [(1, 1, 100, 0)]),
        (rolling(size("CAPACITY_PERCENT", 50)), 2, 0, []),
    ],
)
def test_the_steps_of_each_policy(
    config: dict[str, Any], old: int, new: int, expected: list[tuple[int, int, float, int]]
) -> None:
    assert steps(config, old, new) == expected


CONFIGS = st.one_of(
    st.integers(1, 50).map(lambda value: blue_green("CANARY", CanarySize=size("CAPACITY_PERCENT", value))),
    st.integers(10, 50).map(
        lambda value: blue_green("LINEAR", LinearStepSize=size("CAPACITY_PERCENT", value))
    ),
    st.integers(1, 5).map(lambda value: blue_green("LINEAR", LinearStepSize=size("INSTANCE_COUNT", value))),
    st.integers(5, 50).map(lambda value: rolling(size("CAPACITY_PERCENT", value))),
    st.integers(1, 5).map(lambda value: rolling(size("INSTANCE_COUNT", value))),
)
COUNTS = st.fixed_dictionaries({"a": st.integers(1, 10), "b": st.integers(1, 10)})


@given(CONFIGS, COUNTS, COUNTS)
def test_traffic_only_grows_to_all_and_never_goes_where_nothing_is_on(
    config: dict[str, Any], old: dict[str, int], new: dict[str, int]
) -> None:
    plan = deployment(config, old=old, new=new)
    shares = [step.share for step in plan.steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert plan.steps[-1].new_on == new
    for step, before in zip(plan.steps, (None, *plan.steps), strict=False):
        assert all(0 < step.new_on[name] <= step.new_up[name] <= new[name] for name in new)
        # Until the shift the old fleet has what the step before left it.
        left = before.old_up if before else old
        assert step.share == 1 or all(left[name] for name in old)
        assert all(step.old_up[name] <= left[name] for name in old)
    if not plan.rolling:
        assert all(step.old_up == old for step in plan.steps)


def test_a_batch_is_never_nothing_and_never_more_than_there_is() -> None:
    assert instances_of(size("CAPACITY_PERCENT", 5), 3) == 1
    assert instances_of(size("CAPACITY_PERCENT", 50), 5) == 2
    assert instances_of(size("INSTANCE_COUNT", 9), 3) == 3


def test_a_roll_back_brings_everything_back_at_once_or_in_batches() -> None:
    config = rolling(size("INSTANCE_COUNT", 1))
    assert list(roll_back_batches(config, {"a": 3})) == [{"a": 3}]
    config["RollingUpdatePolicy"]["RollbackMaximumBatchSize"] = size("INSTANCE_COUNT", 2)
    assert list(roll_back_batches(config, {"a": 3})) == [{"a": 2}, {"a": 3}]


def test_waits_limit_and_alarms_come_from_the_config() -> None:
    config = blue_green("CANARY", CanarySize=size("INSTANCE_COUNT", 1))
    config["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] = 900
    config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": "bell"}, {}]}
    plan = deployment(config, old={"a": 2}, new={"a": 2})
    assert (plan.waits_s, plan.timeout_s, plan.alarms) == (150, 900, ("bell",))
