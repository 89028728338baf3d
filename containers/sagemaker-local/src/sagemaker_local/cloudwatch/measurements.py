"""What an alarm sees: the data points of its evaluation range, and how they stand to its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sagemaker_local.cloudwatch import queries
from sagemaker_local.cloudwatch.alarms import Alarm
from sagemaker_local.cloudwatch.evaluation import COMPARISONS, EXTRA_POINTS
from sagemaker_local.cloudwatch.metric_store import MetricStore

LONGEST_STEP_S = 60
"""An alarm on longer periods is evaluated every minute all the same, over periods that end then."""
RATE_STATISTICS = frozenset({"Sum", "SampleCount"})


@dataclass(frozen=True, slots=True)
class Measurement:
    """The data points of an alarm at one time.

    Attributes:
        end_s: The end of the last period.
        period_s: As the alarm has it.
        times: Start of each period, oldest first.
        values: The value of each, None where there is none.
        breaching: Whether each breaches the threshold, None where there is no value.
    """

    end_s: int
    period_s: int
    times: Sequence[int]
    values: Sequence[float | None]
    breaching: Sequence[bool | None]

    def last(self, count: int) -> list[tuple[int, float]]:
        """The latest real data points, newest first."""
        real = [(at, value) for at, value in zip(self.times, self.values, strict=True) if value is not None]
        return real[::-1][:count]


def period_s(document: dict[str, Any]) -> int:
    """The period of an alarm, be it on a metric or on an expression."""
    if "Period" in document:
        return int(document["Period"])
    periods = [query["MetricStat"]["Period"] for query in document["Metrics"] if "MetricStat" in query]
    return max(periods, default=60)


def time_scale(alarm: Alarm) -> float:
    """What the alarm's periods are multiplied by; 1 but for alarms of a scaling policy."""
    return float(alarm.private.get("time_scale", 1))


def real_period_s(alarm: Alarm) -> int:
    """The period in seconds of this machine's clock."""
    return max(1, round(period_s(alarm.document) * time_scale(alarm)))


def step_s(alarm: Alarm) -> int:
    """How often the alarm is evaluated."""
    return min(real_period_s(alarm), LONGEST_STEP_S)


def measure(store: MetricStore, alarm: Alarm, end_s: int) -> Measurement:
    """The data points of an alarm's evaluation range that ends at ``end_s``."""
    document = alarm.document
    length_s = real_period_s(alarm)
    count = document["EvaluationPeriods"] + EXTRA_POINTS
    start_s = end_s - count * length_s
    if "Metrics" in document:
        asked = [_with_period(query, length_s) for query in document["Metrics"]]
        answers = queries.results(store, asked, start_s, end_s)
        series = next(answer for answer in answers if answer.returned).series[0]
    else:
        dimensions = queries.dimensions_of(document.get("Dimensions"))
        sets = store.points(
            document["Namespace"],
            document["MetricName"],
            dimensions,
            start_s=start_s,
            end_s=end_s,
            period_s=length_s,
            unit=document.get("Unit"),
        )
        name = document.get("Statistic") or document["ExtendedStatistic"]
        series = queries.values(sets, name)
        if name in RATE_STATISTICS:  # so much in a short minute is that much more in a whole one
            longer = period_s(document) / length_s
            series = {at: value * longer for at, value in series.items()}
    times = range(start_s, end_s, length_s)
    values = [series.get(at) for at in times]
    breaches, threshold = COMPARISONS[document["ComparisonOperator"]], document["Threshold"]
    breaching = [None if value is None else breaches(value, threshold) for value in values]
    return Measurement(end_s, period_s(document), times, values, breaching)


def _with_period(query: dict[str, Any], length_s: int) -> dict[str, Any]:
    """A query of an alarm: its metrics are read by the alarm's own period."""
    if "MetricStat" not in query:
        return query
    return {**query, "MetricStat": {**query["MetricStat"], "Period": length_s}}
