"""Search expressions: whether a resource fits filters, nested filters and sub-expressions.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_SearchExpression.html
"""

from __future__ import annotations

import datetime
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sagemaker_local.errors import ValidationException

ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


def fits(expression: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether a resource is what an expression looks for.

    Args:
        expression: ``SearchExpression`` of the request, or a part of it.
        document: The resource, as Search answers it.

    Raises:
        ValidationException: a filter lacks its value, or the value does not suit the operator.
    """
    answers = [_filter(each, document) for each in expression.get("Filters", [])]
    answers += [_nested(each, document) for each in expression.get("NestedFilters", [])]
    answers += [fits(each, document) for each in expression.get("SubExpressions", [])]
    if not answers:
        return True
    return any(answers) if expression.get("Operator") == "Or" else all(answers)


def values(document: Any, path: str) -> Iterator[Any]:
    """Everything that a dotted path leads to; a list stands for each of its items.

    ``Tags.team`` and ``Metrics.accuracy`` are the value of the item of that key or name.
    """
    head, _, rest = path.partition(".")
    if isinstance(document, list):
        for item in document:
            yield from values(item, path)
    elif isinstance(document, Mapping):
        if head == "Tags" and rest:
            yield from (tag["Value"] for tag in document.get("Tags", []) if tag["Key"] == rest)
        elif head == "Metrics" and rest:
            metrics = document.get("FinalMetricDataList", [])
            yield from (metric["Value"] for metric in metrics if metric["MetricName"] == rest)
        elif path in document:
            yield document[path]  # a hyperparameter's name may hold dots
        elif head in document and rest:
            yield from values(document[head], rest)


def _filter(given: Mapping[str, str], document: Mapping[str, Any]) -> bool:
    found = list(values(document, given["Name"]))
    kind = given.get("Operator", "Equals")
    if kind in ("Exists", "NotExists"):
        if "Value" in given:
            raise ValidationException(f"The operator {kind} takes no Value (filter '{given['Name']}')")
        return bool(found) == (kind == "Exists")
    if "Value" not in given:
        raise ValidationException(f"The operator {kind} needs a Value (filter '{given['Name']}')")
    wanted = given["Value"]
    if kind == "NotEquals":
        return not any(_is_equal(each, wanted) for each in found)
    if kind == "In":
        return any(_is_equal(each, one.strip()) for each in found for one in wanted.split(","))
    if kind == "Contains":
        return any(wanted in str(each) for each in found)
    if kind == "Equals":
        return any(_is_equal(each, wanted) for each in found)
    return any(_is_ordered(kind, each, wanted) for each in found)


def _nested(given: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """All filters must hold for one and the same item of a list."""
    name = given["NestedPropertyName"]
    items = document.get(name, [])
    inside = [{**each, "Name": each["Name"].removeprefix(f"{name}.")} for each in given["Filters"]]
    return any(all(_filter(each, item) for each in inside) for item in items)


def _is_equal(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    if isinstance(value, int | float):
        return value == _number(wanted)
    return str(value) == wanted


def _is_ordered(kind: str, value: Any, wanted: str) -> bool:
    number = _number(value)
    limit = _number(wanted)
    if number is None or limit is None:
        return False
    return ORDERS[kind](number, limit)


def _number(value: Any) -> float | None:
    """A value as a number: times are seconds since the epoch, and written by ISO 8601 in filters."""
    try:
        return float(value)
    except (TypeError, ValueError):
        pass
    try:
        at = datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()
