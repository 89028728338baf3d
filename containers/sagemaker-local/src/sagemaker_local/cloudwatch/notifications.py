"""What an alarm publishes to an SNS topic.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from sagemaker_local.cloudwatch.alarm_evaluator import Action, Firing
from sagemaker_local.cloudwatch.queries import dimensions_of
from sagemaker_local.cloudwatch.transitions import stamp

SNS = "arn:aws:sns:"
OF_TRIGGER = (
    "MetricName",
    "Namespace",
    "Unit",
    "Period",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "ComparisonOperator",
    "Threshold",
    "TreatMissingData",
    "Metrics",
)


def message(firing: Firing) -> str:
    """The message of an alarm that came into its state."""
    document = firing.alarm.document
    _, _, _, region, account, _ = document["AlarmArn"].split(":", 5)
    told: dict[str, Any] = {
        "AlarmName": firing.alarm.name,
        "AlarmDescription": document.get("AlarmDescription"),
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": stamp(document["AlarmConfigurationUpdatedTimestamp"]),
        "NewStateValue": firing.alarm.state,
        "NewStateReason": document["StateReason"],
        "StateChangeTime": stamp(document["StateUpdatedTimestamp"]),
        "Region": region,
        "AlarmArn": document["AlarmArn"],
        "OldStateValue": firing.alarm.private.get("earlier_state", "INSUFFICIENT_DATA"),
        "OKActions": document["OKActions"],
        "AlarmActions": document["AlarmActions"],
        "InsufficientDataActions": document["InsufficientDataActions"],
    }
    if "AlarmRule" in document:
        told["AlarmRule"] = document["AlarmRule"]
    else:
        dimensions = dimensions_of(document.get("Dimensions"))
        told["Trigger"] = {
            **{name: document[name] for name in OF_TRIGGER if name in document},
            "Statistic": document.get("Statistic", document.get("ExtendedStatistic")),
            "Dimensions": [{"name": name, "value": value} for name, value in dimensions.items()],
        }
    return json.dumps(told)


def publisher(publish: Callable[[str, str], None]) -> Action:
    """The action that publishes to a topic; ``publish`` takes its ARN and the message, and may block."""

    async def act(firing: Firing) -> None:
        await asyncio.to_thread(publish, firing.arn, message(firing))

    return act
