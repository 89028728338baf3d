"""Which metric alarms can be: what PutMetricAlarm requires beyond the shapes of its parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sagemaker_local.cloudwatch import queries
from sagemaker_local.cloudwatch.evaluation import COMPARISONS, TREATMENTS
from sagemaker_local.cloudwatch.measurements import period_s
from sagemaker_local.errors import ValidationException

UNSERVED = (
    "ThresholdMetricId",
    "EvaluationWindow",
    "WarmUpConfiguration",
    "EvaluationCriteria",
    "EvaluationInterval",
    "ActionConfiguration",
)
"""Anomaly detection, PromQL, warm-up, wall-clock windows."""

OF_ONE_METRIC = ("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")
DAY_S = 86_400
WEEK_S = 7 * DAY_S


def check_metric_alarm(request: Mapping[str, Any]) -> None:
    """Refuse an alarm that CloudWatch does not take, or that is not served."""
    for name in UNSERVED:
        if name in request:
            raise ValidationException(
                f"{name} is not served by the local SageMaker; it evaluates static thresholds"
            )
    comparison = request.get("ComparisonOperator")
    if comparison is None:
        raise _missing("ComparisonOperator")
    if comparison not in COMPARISONS:
        raise ValidationException(
            f"ComparisonOperator {comparison} needs anomaly detection, which the local SageMaker does not "
            "serve"
        )
    threshold = request.get("Threshold")
    if threshold is None:
        raise _missing("Threshold")
    if not math.isfinite(threshold):
        raise ValidationException(f"Threshold must be a finite number, not {threshold}")
    if "EvaluationPeriods" not in request:
        raise _missing("EvaluationPeriods")
    if "Metrics" in request:
        _check_metrics(request)
    else:
        _check_metric(request)
    if request.get("TreatMissingData", "missing") not in TREATMENTS:
        raise ValidationException(
            f"Option {request['TreatMissingData']} is not supported for TreatMissingData: "
            f"[{', '.join(TREATMENTS)}]"
        )
    low_count = request.get("EvaluateLowSampleCountPercentile", "evaluate")
    if low_count not in ("evaluate", "ignore"):
        raise ValidationException(
            f"Option {low_count} is not supported. Supported options for EvaluateLowSampleCountPercentile "
            "are "
            "evaluate and ignore."
        )
    if low_count == "ignore":
        raise ValidationException(
            "EvaluateLowSampleCountPercentile ignore is not served by the local SageMaker"
        )
    _check_reach(request)


def _check_metric(request: Mapping[str, Any]) -> None:
    for name in ("MetricName", "Namespace", "Period"):
        if name not in request:
            raise _missing(name)
    given = [name for name in ("Statistic", "ExtendedStatistic") if name in request]
    if len(given) != 1:
        raise ValidationException("Exactly one of Statistic and ExtendedStatistic must be specified")
    if "ExtendedStatistic" in request:
        queries.check_statistic(request["ExtendedStatistic"])
    queries.dimensions_of(request.get("Dimensions"))
    _check_period(request["Period"])


def _check_metrics(request: Mapping[str, Any]) -> None:
    both = [name for name in OF_ONE_METRIC if name in request]
    if both:
        raise ValidationException(
            f"Metrics list cannot be combined with {', '.join(both)}: an alarm has one or the other"
        )
    queries.check_queries(request["Metrics"])
    returned = [query["Id"] for query in request["Metrics"] if query.get("ReturnData", True)]
    if len(returned) != 1:
        raise ValidationException(
            f"Exactly one element of the metrics list should return data, not {len(returned)}"
        )
    periods = {query["MetricStat"]["Period"] for query in request["Metrics"] if "MetricStat" in query}
    if len(periods) != 1:
        raise ValidationException(
            "All metrics in the metrics list must have the same Period, and there must be one"
        )
    _check_period(periods.pop())


def _check_period(length_s: int) -> None:
    if length_s not in (10, 20, 30) and length_s % 60:
        raise ValidationException(f"Period must be 10, 20, 30 or a multiple of 60, not {length_s}")


def _check_reach(request: Mapping[str, Any]) -> None:
    periods, needed = request["EvaluationPeriods"], request.get("DatapointsToAlarm")
    if needed is not None and needed > periods:
        raise ValidationException(
            f"DatapointsToAlarm ({needed}) must be less than or equal to EvaluationPeriods ({periods})"
        )
    length_s = period_s(dict(request))
    most_s = WEEK_S if length_s >= 3600 else DAY_S
    if periods * length_s > most_s:
        raise ValidationException(
            f"Metrics cannot be checked across more than {'seven days' if most_s == WEEK_S else 'a day'} "
            f"(EvaluationPeriods * Period must be <= {most_s})."
        )


def _missing(name: str) -> ValidationException:
    return ValidationException(f"The parameter {name} is required for an alarm on a metric")
