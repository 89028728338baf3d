"""Metric data as GetMetricData, GetMetricStatistics and alarms ask for it.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagemaker_local.cloudwatch.expression_functions import Context, ExpressionError, Series, Value, as_list
from sagemaker_local.cloudwatch.expressions import evaluate, identifiers
from sagemaker_local.cloudwatch.metric_store import RETENTION_S, MetricStore
from sagemaker_local.cloudwatch.statistic_names import statistic
from sagemaker_local.cloudwatch.statistics import StatisticSet
from sagemaker_local.errors import AwsError

SHORT_PERIODS_S = (1, 5, 10, 20, 30)
"""Periods below a minute; longer ones are whole minutes."""


class InvalidParameterValue(AwsError):
    """A parameter's value makes no sense."""

    code = "InvalidParameterValue"


class InvalidParameterCombination(AwsError):
    """Parameters that do not go together."""

    code = "InvalidParameterCombination"


class MissingParameter(AwsError):
    """A parameter is needed that is not there."""

    code = "MissingParameter"


@dataclass(frozen=True, slots=True)
class Window:
    """The periods that are asked for.

    Attributes:
        start_s, end_s: From the first period's start to the end, which is not in it.
        period_s: Their length.
    """

    start_s: int
    end_s: int
    period_s: int

    @property
    def times(self) -> range:
        """The start of each period."""
        return range(self.start_s, self.end_s, self.period_s)


@dataclass(frozen=True, slots=True)
class Result:
    """What one query gave: one series, or several of an expression over an array."""

    id: str
    label: str
    series: Sequence[Series]
    returned: bool


def check_period(period_s: int, name: str = "Period") -> int:
    """Refuse a period that CloudWatch does not have."""
    if period_s not in SHORT_PERIODS_S and (period_s % 60 or period_s < 60 or period_s > 86_400):
        raise InvalidParameterValue(
            f"The parameter {name} must be 1, 5, 10, 20, 30, or a multiple of 60, up to 86400"
        )
    return period_s


def window(start: float, end: float, period_s: int) -> Window:
    """The periods between two times; the start is rounded down as AWS rounds it, by its age."""
    if start >= end:
        raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime")
    if not (start >= 0 and end < 2**40):
        raise InvalidParameterValue("The parameters StartTime and EndTime must be times since 1970")
    age_s = time.time() - start
    rounding_s = period_s
    if period_s >= 60:
        rounding_s = next((s for s in (60, 300) if age_s < RETENTION_S[s]), 3600)
    start_s = math.floor(start / rounding_s) * rounding_s
    return Window(start_s, math.ceil(end), period_s)


def dimensions_of(request: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """Dimensions as a mapping; a name given twice is refused."""
    dimensions = {each["Name"]: each["Value"] for each in request or ()}
    if len(dimensions) != len(request or ()):
        raise InvalidParameterValue("The parameter Dimensions names a dimension twice")
    return dimensions


def check_statistic(name: str) -> None:
    """Refuse a statistic that is none, or not served."""
    try:
        statistic(name)
    except KeyError:
        raise InvalidParameterValue(
            f"The value {name} for parameter Statistics is not supported; served are SampleCount, Average, "
            "Sum, Minimum, Maximum, IQM, and p, tm, tc, ts and wm with a percentage"
        ) from None


def values(sets: Mapping[int, StatisticSet], name: str) -> Series:
    """One statistic of each period that tells it."""
    compute = statistic(name)
    computed = {at: compute(of) for at, of in sets.items()}
    return {at: value for at, value in computed.items() if value is not None}


def metric_series(store: MetricStore, asked: Mapping[str, Any], at: Window) -> Series:
    """The time series of a MetricStat."""
    metric = asked["Metric"]
    for name in ("Namespace", "MetricName"):
        if name not in metric:
            raise MissingParameter(f"The parameter MetricStat.Metric.{name} is required")
    sets = store.points(
        metric["Namespace"],
        metric["MetricName"],
        dimensions_of(metric.get("Dimensions")),
        start_s=at.start_s,
        end_s=at.end_s,
        period_s=at.period_s,
        unit=asked.get("Unit"),
    )
    return values(sets, asked["Stat"])


def check_queries(queries: Sequence[Mapping[str, Any]]) -> None:
    """Refuse queries that cannot be answered, whatever the data."""
    ids = [query["Id"] for query in queries]
    for query in queries:
        where = f"The value of MetricDataQueries member {query['Id']}"
        if not query["Id"][0].islower():
            raise InvalidParameterValue(f"{where} is not valid: an Id begins with a lower-case letter")
        if ids.count(query["Id"]) > 1:
            raise InvalidParameterValue(f"{where} is not valid: the Id is used more than once")
        if ("MetricStat" in query) == ("Expression" in query):
            raise InvalidParameterCombination(
                f"{where} must have either MetricStat or Expression, and not both"
            )
        if "MetricStat" in query:
            check_period(query["MetricStat"]["Period"])
            check_statistic(query["MetricStat"]["Stat"])
        else:
            try:
                identifiers(query["Expression"])
            except ExpressionError as error:
                raise _wrong_expression(query, error) from error
        if "AccountId" in query:
            raise InvalidParameterValue(f"{where}: AccountId is not served: there is one account")


def results(
    store: MetricStore, queries: Sequence[Mapping[str, Any]], start: float, end: float
) -> list[Result]:
    """The answers of queries in their order; expressions may use any of the others."""
    check_queries(queries)
    by_id = {query["Id"]: query for query in queries}
    periods = [query["MetricStat"]["Period"] for query in queries if "MetricStat" in query]
    coarsest = window(start, end, max(periods, default=60))
    known: dict[str, Value] = {}
    metrics = [query["Id"] for query in queries if "MetricStat" in query]
    for id_ in metrics:
        asked = by_id[id_]["MetricStat"]
        known[id_] = metric_series(store, asked, window(start, end, asked["Period"]))

    def value(id_: str, above: tuple[str, ...]) -> Value:
        if id_ in known:
            return known[id_]
        query = by_id[id_]
        if id_ in above:
            raise InvalidParameterValue(f"The expression of {id_} uses itself")
        for other in identifiers(query["Expression"]) & by_id.keys():
            value(other, (*above, id_))
        context = Context(known, metrics, query.get("Period", coarsest.period_s), coarsest.times)
        try:
            known[id_] = evaluate(query["Expression"], context)
        except ExpressionError as error:
            raise _wrong_expression(query, error) from error
        except KeyError as error:
            raise _wrong_expression(query, f"{error.args[0]} is not the Id of a query") from error
        return known[id_]

    answers = []
    for query in queries:
        found = value(query["Id"], ())
        if isinstance(found, float):
            found = dict.fromkeys(coarsest.times, found)
        answers.append(Result(query["Id"], _label(query), as_list(found), query.get("ReturnData", True)))
    return answers


def _label(query: Mapping[str, Any]) -> str:
    if "Label" in query:
        return str(query["Label"])
    return str(query["MetricStat"]["Metric"]["MetricName"]) if "MetricStat" in query else str(query["Id"])


def _wrong_expression(query: Mapping[str, Any], error: Exception | str) -> InvalidParameterValue:
    return InvalidParameterValue(
        f"Invalid metrics list: error in expression '{query['Id']}' ({query['Expression']}): {error}"
    )
