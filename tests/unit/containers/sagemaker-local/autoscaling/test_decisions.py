"""How many instances policies want."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.autoscaling.decisions import (
    Bounds,
    adjusted,
    step_adjustment,
    step_scaled,
    target_tracked,
)

STEPS = [
    {"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 10.0, "ScalingAdjustment": 1},
    {"MetricIntervalLowerBound": 10.0, "ScalingAdjustment": 3},
]
STEPS_DOWN = [
    {"MetricIntervalUpperBound": 0.0, "MetricIntervalLowerBound": -10.0, "ScalingAdjustment": -1},
    {"MetricIntervalUpperBound": -10.0, "ScalingAdjustment": -3},
]


@pytest.mark.parametrize(("breach", "adjustment"), [(-1, None), (0, 1), (9.9, 1), (10, 3), (1e9, 3)])
def test_steps_above_have_their_lower_bound(breach: float, adjustment: int | None) -> None:
    assert step_adjustment(STEPS, breach, above=True) == adjustment


@pytest.mark.parametrize(("breach", "adjustment"), [(1, None), (0, -1), (-9.9, -1), (-10, -3), (-1e9, -3)])
def test_steps_below_have_their_upper_bound(breach: float, adjustment: int | None) -> None:
    assert step_adjustment(STEPS_DOWN, breach, above=False) == adjustment


@pytest.mark.parametrize(
    ("kind", "least", "adjustment", "current", "wanted"),
    [
        ("ChangeInCapacity", 0, 2, 3, 5),
        ("ExactCapacity", 0, 7, 3, 7),
        ("PercentChangeInCapacity", 0, 10, 3, 4),  # 0.3 of an instance is one
        ("PercentChangeInCapacity", 0, -10, 3, 2),
        ("PercentChangeInCapacity", 0, 50, 5, 7),  # 2.5 is two
        ("PercentChangeInCapacity", 0, -50, 5, 3),
        ("PercentChangeInCapacity", 3, 10, 3, 6),
        ("PercentChangeInCapacity", 3, -10, 9, 6),
    ],
)
def test_adjustments(kind: str, least: int, adjustment: int, current: int, wanted: int) -> None:
    configuration = {"AdjustmentType": kind} | ({"MinAdjustmentMagnitude": least} if least else {})
    assert adjusted(configuration, adjustment, current) == wanted


@pytest.mark.parametrize(("aggregation", "wanted"), [("Average", 3), ("Maximum", 5), ("Minimum", 2)])
def test_aggregation_of_the_values(aggregation: str, wanted: int) -> None:
    configuration = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": STEPS,
        "MetricAggregationType": aggregation,
    }
    assert step_scaled(configuration, [49.0, 56.0, 61.0], 50.0, 2, above=True) == wanted


@pytest.mark.parametrize(
    ("values", "current", "scale_out", "wanted"),
    [
        ([200.0], 1, True, 2), ([201.0], 1, True, 3), ([101.0], 4, True, 5), ([], 4, True, 5),
        ([50.0], 4, False, 2), ([50.0, 90.0], 4, False, 4), ([0.0], 4, False, 0), ([], 4, False, 3),
        ([30.0], 10, False, 3),
    ],
)  # fmt: skip
def test_target_tracking_by_a_target_of_100(
    values: list[float], current: int, scale_out: bool, wanted: int
) -> None:
    assert target_tracked(values, 100.0, current, scale_out=scale_out) == wanted


@given(st.lists(st.floats(0, 1e6), max_size=5), st.floats(0.1, 1e5), st.integers(1, 50), st.booleans())
def test_out_is_more_and_in_is_not_and_bounds_hold(
    values: list[float], target: float, current: int, scale_out: bool
) -> None:
    wanted = target_tracked(values, target, current, scale_out=scale_out)
    assert wanted > current if scale_out else wanted <= current
    assert 1 <= Bounds(1, 5).hold(wanted) <= 5
