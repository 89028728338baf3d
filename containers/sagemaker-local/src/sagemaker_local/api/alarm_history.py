"""CloudWatch alarms: what happened to them.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarmHistory.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from sagemaker_local.cloudwatch.alarms import METRIC, HistoryItem
from sagemaker_local.cloudwatch.queries import InvalidParameterValue
from sagemaker_local.cloudwatch.transitions import HISTORY_DATA_CHARACTERS
from sagemaker_local.errors import AwsError
from sagemaker_local.services import Services

HISTORY_PAGE_DEFAULT = 100


class InvalidNextToken(AwsError):
    """The token is not one that this server gave."""

    code = "InvalidNextToken"


def after(token: str | None) -> str | None:
    """What the last page ended with, by its token."""
    if token is None:
        return None
    try:
        return base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidNextToken("The NextToken is not valid") from None


def describe_alarm_history(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeAlarmHistory: newest first unless asked otherwise; of deleted alarms too."""
    if "AlarmContributorId" in request:
        raise InvalidParameterValue("The parameter AlarmContributorId is not served")
    types = request.get("AlarmTypes", [METRIC])
    items = [
        item
        for item in services.alarms.history(request.get("AlarmName"))
        if item.kind in types
        and request.get("HistoryItemType", item.type) == item.type
        and request.get("StartDate", 0) <= item.at_s <= request.get("EndDate", item.at_s)
    ]
    if request.get("ScanBy", "TimestampDescending") == "TimestampAscending":
        items.reverse()
    most = request.get("MaxRecords", HISTORY_PAGE_DEFAULT)
    start = _after(items, request.get("NextToken"))
    page = items[start : start + most]
    answer: dict[str, Any] = {"AlarmHistoryItems": [_told(item) for item in page]}
    if start + most < len(items):
        answer["NextToken"] = base64.urlsafe_b64encode(str(page[-1].item_id).encode()).decode()
    return answer


def _after(items: Sequence[HistoryItem], token: str | None) -> int:
    text = after(token)
    if text is None:
        return 0
    if not text.isdecimal():
        raise InvalidNextToken("The NextToken is not valid")
    last = int(text)
    return next((at + 1 for at, item in enumerate(items) if item.item_id == last), len(items))


def _told(item: HistoryItem) -> dict[str, Any]:
    return {
        "AlarmName": item.alarm,
        "AlarmType": item.kind,
        "Timestamp": item.at_s,
        "HistoryItemType": item.type,
        "HistorySummary": item.summary,
        "HistoryData": item.data[:HISTORY_DATA_CHARACTERS],
    }
