"""Whether an alarm is in ALARM: M of N data points, and what missing ones count as.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
COMPARISON_TEXTS = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
EXTRA_POINTS = 2
"""AWS looks back further than EvaluationPeriods when data is missing, and does not say how far; its examples
show five points for three periods."""

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"


def evaluate(
    points: Sequence[bool | None],
    *,
    evaluation_periods: int,
    datapoints_to_alarm: int,
    treat_missing_data: str,
    state: str,
) -> str:
    """The state that follows from data points.

    Args:
        points: Oldest first, the whole evaluation range: breaching, not breaching, or missing (None).
        evaluation_periods: N.
        datapoints_to_alarm: M.
        treat_missing_data: One of :data:`TREATMENTS`.
        state: The state until now.
    """
    real = [point for point in points if point is not None][-evaluation_periods:]
    missing = max(0, evaluation_periods - len(real))
    if missing and treat_missing_data in ("breaching", "notBreaching"):
        real = [*real, *[treat_missing_data == "breaching"] * missing]
        missing = 0
    if sum(real) >= datapoints_to_alarm:
        return ALARM
    if not missing:
        return OK
    if not real:
        return state if treat_missing_data == "ignore" else INSUFFICIENT_DATA
    if not all(real):
        return OK
    # Only breaching points, fewer than M: AWS does not wait for more when the oldest is M periods old.
    oldest = next(age for age in range(len(points), 0, -1) if points[-age])
    if treat_missing_data == "missing" and oldest >= datapoints_to_alarm:
        return ALARM
    return state
