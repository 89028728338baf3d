"""How many instances a policy wants: plain arithmetic, without clocks or stores.

Sources: https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html and
https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AGGREGATIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Average": lambda values: sum(values) / len(values),
    "Minimum": min,
    "Maximum": max,
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a scalable target allows."""

    least: int
    most: int

    def hold(self, count: int) -> int:
        """The nearest count that is allowed."""
        return max(self.least, min(self.most, count))


def step_adjustment(steps: Sequence[Mapping[str, Any]], breach: float, *, above: bool) -> int | None:
    """The adjustment of the step that a breach falls into; None between steps.

    Args:
        steps: ``StepAdjustments`` of the policy; bounds are relative to the alarm's threshold.
        breach: Metric minus threshold.
        above: The alarm watches for values above its threshold: a step then has its lower bound and not its
            upper one, else it is the other way round.
    """
    for step in steps:
        lower = step.get("MetricIntervalLowerBound", -math.inf)
        upper = step.get("MetricIntervalUpperBound", math.inf)
        if (lower <= breach < upper) if above else (lower < breach <= upper):
            return int(step["ScalingAdjustment"])
    return None


def adjusted(configuration: Mapping[str, Any], adjustment: int, current: int) -> int:
    """The count after an adjustment, by the policy's AdjustmentType."""
    least = configuration.get("MinAdjustmentMagnitude", 0)
    match configuration["AdjustmentType"]:
        case "ExactCapacity":
            return adjustment
        case "PercentChangeInCapacity":
            change = rounded_change(current * adjustment / 100)
            if change:
                change = int(math.copysign(max(abs(change), least), change))
            return current + change
        case _:
            return current + adjustment


def rounded_change(change: float) -> int:
    """A percentage of instances as whole ones: towards zero, but never to zero."""
    if 0 < abs(change) < 1:
        return 1 if change > 0 else -1
    return math.trunc(change)


def step_scaled(
    configuration: Mapping[str, Any], values: Sequence[float], threshold: float, current: int, *, above: bool
) -> int:
    """The count that a step scaling policy wants; the current one where no step fits.

    Args:
        configuration: ``StepScalingPolicyConfiguration``.
        values: The metric's latest values; without any the threshold itself counts as breached by nothing.
        threshold: The alarm's.
        current: Instances there are.
        above: See :func:`step_adjustment`.
    """
    aggregate = AGGREGATIONS[configuration.get("MetricAggregationType", "Average")]
    value = aggregate(values) if values else threshold
    adjustment = step_adjustment(configuration["StepAdjustments"], value - threshold, above=above)
    return current if adjustment is None else adjusted(configuration, adjustment, current)


def target_tracked(values: Sequence[float], target: float, current: int, *, scale_out: bool) -> int:
    """The count that a target tracking policy wants: the metric is taken to shrink as instances come.

    Scaling out goes by the average of the values, by one instance at least. Scaling in goes by the largest,
    so that no instance goes that one of those periods needed.
    """
    if not values:
        return current + (1 if scale_out else -1)
    value = sum(values) / len(values) if scale_out else max(values)
    wanted = math.ceil(round(current * value / target, 6))
    return max(wanted, current + 1) if scale_out else min(wanted, current)
