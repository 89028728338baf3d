"""Conditions of a Condition step.

Source: https://sagemaker.readthedocs.io/en/stable/workflows/pipelines/sagemaker.workflow.pipelines.html#conditions
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from sagemaker_local.pipelines.expressions import ExpressionError, Scope, evaluate

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}

TYPES = frozenset({*COMPARISONS, "In", "Not", "Or"})


def all_hold(conditions: list[Mapping[str, Any]], scope: Scope) -> bool:
    """The outcome of a Condition step: True when every one of its conditions holds.

    Raises:
        ExpressionError: a condition is malformed, or its values cannot be had or compared.
    """
    return all(holds(each, scope) for each in conditions)


def holds(condition: Mapping[str, Any], scope: Scope) -> bool:
    """Whether one condition holds.

    Raises:
        ExpressionError: as above.
    """
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition.get("Condition") or condition["Expression"], scope)
    if kind == "Or":
        return any(holds(each, scope) for each in condition["Conditions"])
    if kind == "In":
        wanted = evaluate(condition["QueryValue"], scope)
        return any(_compare("Equals", wanted, evaluate(each, scope)) for each in condition["Values"])
    left, right = (evaluate(condition[side], scope) for side in ("LeftValue", "RightValue"))
    return _compare(kind, left, right)


def _compare(kind: str, left: Any, right: Any) -> bool:
    left, right = _alike(left, right)
    try:
        return bool(COMPARISONS[kind](left, right))
    except TypeError as error:
        raise ExpressionError(f"{left!r} and {right!r} cannot be compared by {kind}") from error


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Both values as numbers when one is a number and the other reads as one, else as they are."""
    if isinstance(left, str) and _is_number(right):
        return _number(left), right
    if isinstance(right, str) and _is_number(left):
        return left, _number(right)
    return left, right


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
