"""CloudWatch metrics: put, read by statistic or by query, list.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from sagemaker_local.api import cloudwatch_alarms
from sagemaker_local.cloudwatch import queries
from sagemaker_local.cloudwatch.metric_store import DAY_S, Metric, series_of
from sagemaker_local.cloudwatch.protocol import Operation
from sagemaker_local.cloudwatch.queries import (
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
)
from sagemaker_local.cloudwatch.statistics import StatisticSet, of_values
from sagemaker_local.errors import AwsError
from sagemaker_local.services import Services

DATUMS_PER_REQUEST = 1000
VALUES_PER_DATUM = 150
OLDEST_S = 14 * DAY_S
NEWEST_S = 2 * 3600
LARGEST = 2.0**360
DATAPOINTS_PER_STATISTICS = 1440
QUERIES_PER_REQUEST = 500
DATAPOINTS_PER_DATA = 100_800
METRICS_PER_PAGE = 500
ACTIVE_S = 3 * 3600


class InvalidNextToken(AwsError):
    """The token is not one that this server gave."""

    code = "InvalidNextToken"


def put_metric_data(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """PutMetricData: all of it is on disk before the answer, or none of it is taken."""
    if request.get("EntityMetricData"):
        raise InvalidParameterValue("The parameter EntityMetricData is not served; give MetricData")
    namespace, data = request["Namespace"], request.get("MetricData")
    if not data:
        raise MissingParameter("The parameter MetricData is required.")
    if len(data) > DATUMS_PER_REQUEST:
        raise InvalidParameterValue(
            f"The collection MetricData must not have a size greater than {DATUMS_PER_REQUEST}."
        )
    now_s = time.time()
    taken = []
    for number, datum in enumerate(data, start=1):
        path = f"MetricData.member.{number}"
        at_s = datum.get("Timestamp", now_s)
        if not now_s - OLDEST_S <= at_s <= now_s + NEWEST_S:
            raise InvalidParameterValue(
                f"The parameter {path}.Timestamp must specify a time within the past two weeks and no more "
                "than "
                "two hours in the future."
            )
        resolution_s = datum.get("StorageResolution", 60)
        if resolution_s not in (1, 60):
            raise InvalidParameterValue(f"The parameter {path}.StorageResolution must be 1 or 60.")
        series = series_of(
            namespace,
            datum["MetricName"],
            queries.dimensions_of(datum.get("Dimensions")),
            datum.get("Unit", "None"),
        )
        taken.append((series, _statistics(datum, path), at_s, resolution_s))
    for item in taken:
        services.metrics.add_set(*item)
    services.metrics.flush()
    return {}


def _statistics(datum: Mapping[str, Any], path: str) -> StatisticSet:
    given = [name for name in ("Value", "Values", "StatisticValues") if name in datum]
    if len(given) != 1:
        raise InvalidParameterCombination(
            f"The parameters {path}.Value, {path}.Values and {path}.StatisticValues are mutually exclusive "
            "and "
            "you have specified " + (" and ".join(given) or "none") + "."
        )
    if "Value" in datum:
        return of_values({_number(datum["Value"], f"{path}.Value"): 1.0})
    if "StatisticValues" in datum:
        told = datum["StatisticValues"]
        count, total, least, most = (
            _number(told[name], f"{path}.StatisticValues.{name}")
            for name in ("SampleCount", "Sum", "Minimum", "Maximum")
        )
        if count <= 0 or least > most:
            raise InvalidParameterValue(
                f"The parameter {path}.StatisticValues must have a SampleCount above 0 and a Minimum that "
                "is not "
                "above Maximum."
            )
        return StatisticSet(total, count, least, most, {least: count} if least == most else None)
    values = datum["Values"]
    counts = datum.get("Counts", [1.0] * len(values))
    if not values or len(values) > VALUES_PER_DATUM or len(counts) != len(values):
        raise InvalidParameterValue(
            f"The parameter {path}.Values must have 1 to {VALUES_PER_DATUM} values, and {path}.Counts as "
            "many."
        )
    whole = StatisticSet()
    for value, count in zip(values, counts, strict=True):
        if _number(count, f"{path}.Counts") <= 0:
            raise InvalidParameterValue(f"The parameter {path}.Counts must be above 0.")
        whole.add(_number(value, f"{path}.Values"), float(count))
    return whole


def _number(value: float, path: str) -> float:
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise InvalidParameterValue(f"The parameter {path} must be a number between -2^360 and 2^360.")
    return float(value)


def get_metric_statistics(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """GetMetricStatistics; the points are in order of time, which AWS does not promise."""
    period_s = queries.check_period(request["Period"])
    at = queries.window(request["StartTime"], request["EndTime"], period_s)
    plain, extended = request.get("Statistics", []), request.get("ExtendedStatistics", [])
    if not plain and not extended:
        raise MissingParameter("The parameter Statistics or ExtendedStatistics is required.")
    for name in extended:
        queries.check_statistic(name)
    if len(at.times) > DATAPOINTS_PER_STATISTICS:
        raise InvalidParameterCombination(
            f"You have requested up to {len(at.times):,} datapoints, which exceeds the limit of "
            f"{DATAPOINTS_PER_STATISTICS:,}. You may reduce the datapoints requested by increasing Period, "
            "or "
            "decreasing the time range."
        )
    points: dict[int, dict[str, Any]] = {}
    for unit in _units(services, request):
        sets = services.metrics.points(
            request["Namespace"],
            request["MetricName"],
            queries.dimensions_of(request.get("Dimensions")),
            start_s=at.start_s,
            end_s=at.end_s,
            period_s=period_s,
            unit=unit,
        )
        for name in (*plain, *extended):
            for start_s, value in queries.values(sets, name).items():
                point = points.setdefault(start_s, {"Timestamp": start_s, "Unit": unit})
                (point if name in plain else point.setdefault("ExtendedStatistics", {}))[name] = value
    return {"Label": request["MetricName"], "Datapoints": [points[start_s] for start_s in sorted(points)]}


def _units(services: Services, request: Mapping[str, Any]) -> list[str]:
    """The unit asked for, or those that the metric has data in."""
    if "Unit" in request:
        return [request["Unit"]]
    dimensions = queries.dimensions_of(request.get("Dimensions"))
    return services.metrics.units(request["Namespace"], request["MetricName"], dimensions)


def get_metric_data(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """GetMetricData: metrics and expressions over them, in pages of MaxDatapoints."""
    asked = request["MetricDataQueries"]
    if not asked or len(asked) > QUERIES_PER_REQUEST:
        raise InvalidParameterValue(
            f"The collection MetricDataQueries must have a size between 1 and {QUERIES_PER_REQUEST}."
        )
    most = request.get("MaxDatapoints", DATAPOINTS_PER_DATA)
    if not 1 <= most <= DATAPOINTS_PER_DATA:
        raise InvalidParameterValue(
            f"The parameter MaxDatapoints must be between 1 and {DATAPOINTS_PER_DATA}."
        )
    found = queries.results(services.metrics, asked, request["StartTime"], request["EndTime"])
    descending = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    series = [
        (answer, sorted(each.items(), reverse=descending))
        for answer in found
        if answer.returned
        for each in answer.series
    ]
    skipped = page_start(request.get("NextToken"))
    taken, results = 0, []
    for answer, points in series:
        left = points[skipped:]
        skipped = max(0, skipped - len(points))
        page = left[: most - taken]
        taken += len(page)
        results.append(
            {
                "Id": answer.id,
                "Label": answer.label,
                "Timestamps": [at for at, _ in page],
                "Values": [value for _, value in page],
                "StatusCode": "Complete" if len(page) == len(left) else "PartialData",
            }
        )
    answer_: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
    before = page_start(request.get("NextToken"))
    if before + taken < sum(len(points) for _, points in series):
        answer_["NextToken"] = page_token(before + taken)
    return answer_


def list_metrics(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListMetrics: those with data in the last two weeks."""
    for name in ("IncludeLinkedAccounts", "OwningAccount"):
        if request.get(name):
            raise InvalidParameterValue(f"The parameter {name} is not served: there is one account.")
    youngest_s = time.time() - (ACTIVE_S if "RecentlyActive" in request else OLDEST_S)
    metrics = [
        metric
        for metric in services.metrics.metrics(request.get("Namespace"), request.get("MetricName"))
        if metric.last_s >= youngest_s and _has(metric, request.get("Dimensions", []))
    ]
    start = page_start(request.get("NextToken"))
    page = metrics[start : start + METRICS_PER_PAGE]
    answer: dict[str, Any] = {"Metrics": list(_listed(page))}
    if start + METRICS_PER_PAGE < len(metrics):
        answer["NextToken"] = page_token(start + METRICS_PER_PAGE)
    return answer


def _has(metric: Metric, filters: list[Mapping[str, str]]) -> bool:
    dimensions = dict(metric.dimensions)
    return all(
        wanted["Name"] in dimensions and wanted.get("Value") in (None, dimensions[wanted["Name"]])
        for wanted in filters
    )


def _listed(metrics: list[Metric]) -> Iterator[dict[str, Any]]:
    for metric in metrics:
        dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
        yield {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}


def page_token(start: int) -> str:
    """The token of the page that begins there."""
    return base64.urlsafe_b64encode(json.dumps({"start": start}).encode()).decode()


def page_start(token: str | None) -> int:
    """Where the page of a token begins."""
    if token is None:
        return 0
    try:
        start = json.loads(base64.urlsafe_b64decode(token.encode()))["start"]
        if not isinstance(start, int) or start < 0:
            raise ValueError(start)
    except (ValueError, TypeError, KeyError):
        raise InvalidNextToken("The NextToken is not valid") from None
    return start


OPERATIONS: Mapping[str, Operation] = {
    "PutMetricData": put_metric_data,
    "GetMetricStatistics": get_metric_statistics,
    "GetMetricData": get_metric_data,
    "ListMetrics": list_metrics,
    **cloudwatch_alarms.OPERATIONS,
}
