"""The alarms that a target tracking policy makes for itself, as AWS makes them.

Source: https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker_local.autoscaling.resources import Variant
from sagemaker_local.errors import ValidationException

HIGH, LOW = "AlarmHigh", "AlarmLow"
LOW_SHARE = 0.9
"""Below this share of the target there are instances to spare."""
LOW_S = 900
HIGH_PERIODS = 3


@dataclass(frozen=True, slots=True)
class PredefinedMetric:
    """A metric that AWS has a name for."""

    metric: str
    statistic: str
    period_s: int


PREDEFINED: Mapping[str, PredefinedMetric] = {
    "SageMakerVariantInvocationsPerInstance": PredefinedMetric("InvocationsPerInstance", "Sum", 60),
    "SageMakerVariantConcurrentRequestsPerModelHighResolution": PredefinedMetric(
        "ConcurrentRequestsPerModel", "Average", 10
    ),
}


def definitions(
    variant: Variant, configuration: Mapping[str, Any], policy_arn: str
) -> dict[str, dict[str, Any]]:
    """What to put as AlarmHigh and AlarmLow of a policy."""
    metric, period_s = _metric(variant, configuration)
    target = configuration["TargetValue"]
    sides = {
        HIGH: ("GreaterThanThreshold", float(target), HIGH_PERIODS),
        LOW: ("LessThanThreshold", target * LOW_SHARE, LOW_S // period_s),
    }
    return {
        side: {
            "AlarmName": f"TargetTracking-{variant.resource_id}-{side}-{uuid.uuid4()}",
            "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy_arn}.",
            "AlarmActions": [policy_arn],
            "ComparisonOperator": comparison,
            "Threshold": threshold,
            "EvaluationPeriods": periods,
            **metric,
        }
        for side, (comparison, threshold, periods) in sides.items()
    }


def _metric(variant: Variant, configuration: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The part of an alarm that says what it watches, and its period."""
    given = [
        name
        for name in ("PredefinedMetricSpecification", "CustomizedMetricSpecification")
        if name in configuration
    ]
    if len(given) != 1:
        raise ValidationException(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified"
        )
    if "PredefinedMetricSpecification" in configuration:
        type_ = configuration["PredefinedMetricSpecification"]["PredefinedMetricType"]
        predefined = PREDEFINED.get(type_)
        if predefined is None:
            raise ValidationException(
                f"PredefinedMetricType {type_} is not served for variants; served are {', '.join(PREDEFINED)}"
            )
        dimensions = {"EndpointName": variant.endpoint, "VariantName": variant.name}
        return {
            "Namespace": "AWS/SageMaker",
            "MetricName": predefined.metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            "Statistic": predefined.statistic,
            "Period": predefined.period_s,
        }, predefined.period_s
    custom = configuration["CustomizedMetricSpecification"]
    if "Metrics" in custom:
        queries = [
            {**query, "MetricStat": {**query["MetricStat"], "Period": 60}} if "MetricStat" in query else query
            for query in custom["Metrics"]
        ]
        return {"Metrics": queries}, 60
    missing = [name for name in ("MetricName", "Namespace", "Statistic") if name not in custom]
    if missing:
        raise ValidationException(f"CustomizedMetricSpecification lacks {', '.join(missing)}")
    watched = ("MetricName", "Namespace", "Dimensions", "Statistic", "Unit")
    return {"Period": 60, **{name: custom[name] for name in watched if name in custom}}, 60
