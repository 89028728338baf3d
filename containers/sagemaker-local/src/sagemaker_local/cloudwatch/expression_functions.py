"""The values of metric math, and its functions: each takes and gives numbers, time series or lists of these.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Series = dict[int, float]
"""Start of the period → value."""
Value = float | Series | list[Series]


class ExpressionError(ValueError):
    """The expression cannot be read, or asks for what is not served."""


@dataclass(slots=True)
class Context:
    """What an expression may use.

    Attributes:
        values: Results of the other queries, by their ids.
        metrics: Ids of the queries that are metrics: what METRICS() means.
        period_s: The period of the answer.
        times: Starts of all periods asked for: where FILL fills.
    """

    values: Mapping[str, Value]
    metrics: Sequence[str]
    period_s: int
    times: Sequence[int]
    depth: int = field(default=0, init=False)


def as_list(value: Value) -> list[Series]:
    """The time series of a value; a number is none."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [value]
    raise ExpressionError(f"the number {value:g} stands where a time series is needed")


def combined(a: Value, b: Value, compute: Callable[[float, float], float]) -> Value:
    """Two values, point by point; points that only one has are left out."""
    if isinstance(a, list):
        return [_one(combined(each, b, compute)) for each in a]
    if isinstance(b, list):
        return [_one(combined(a, each, compute)) for each in b]
    if isinstance(a, dict) and isinstance(b, dict):
        pairs = {at: (value, b[at]) for at, value in a.items() if at in b}
    elif isinstance(a, float) and isinstance(b, dict):
        pairs = {at: (a, value) for at, value in b.items()}
    elif isinstance(a, dict) and isinstance(b, float):
        pairs = {at: (value, b) for at, value in a.items()}
    else:
        assert isinstance(a, float)
        assert isinstance(b, float)
        result = _computed(compute, a, b)
        if result is None:
            raise ExpressionError(f"{a:g} and {b:g} give no number")
        return result
    computed = {at: _computed(compute, *pair) for at, pair in pairs.items()}
    return {at: value for at, value in computed.items() if value is not None}


def _computed(compute: Callable[[float, float], float], a: float, b: float) -> float | None:
    try:
        result = compute(a, b)
    except (ZeroDivisionError, OverflowError):
        return None
    return None if isinstance(result, complex) else result


def _one(value: Value) -> Series:
    assert isinstance(value, dict)
    return value


def fill(value: Value, filling: Value | str, times: Sequence[int]) -> Value:
    """A series with its gaps filled by the last value (REPEAT), a number or another series."""
    if isinstance(value, list):
        return [_one(fill(each, filling, times)) for each in value]
    if not isinstance(value, dict):
        raise ExpressionError("FILL needs a time series first")
    if filling == "LINEAR":
        raise ExpressionError("FILL with LINEAR is not served; REPEAT, a number and a time series are")
    filled: Series = {}
    last: float | None = None
    for at in times:
        if at in value:
            last = filled[at] = value[at]
        elif filling == "REPEAT":
            if last is not None:
                filled[at] = last
        elif isinstance(filling, dict):
            if at in filling:
                filled[at] = filling[at]
        elif isinstance(filling, float):
            filled[at] = filling
    return filled


def _reduced(reduce: Callable[[Iterable[float]], float]) -> Callable[..., Value]:
    """A function that makes a series of an array, and a number of a series."""

    def function(_context: Context, value: Value) -> Value:
        if isinstance(value, list):
            times = sorted({at for series in value for at in series})
            return {at: reduce([series[at] for series in value if at in series]) for at in times}
        if isinstance(value, dict):
            return reduce(list(value.values())) if value else 0.0
        return reduce([value])

    return function


def _each(compute: Callable[[float], float]) -> Callable[..., Value]:
    def function(_context: Context, value: Value) -> Value:
        return combined(value, 0.0, lambda a, _: compute(a))

    return function


def _if(context: Context, condition: Value, then: Value, otherwise: Value | None = None) -> Value:
    if isinstance(condition, float):
        chosen = then if condition else otherwise
        return {} if chosen is None else chosen
    if not isinstance(condition, dict):
        raise ExpressionError("IF needs a time series or a number as its condition")
    result: Series = {}
    for at, flag in condition.items():
        chosen = then if flag else otherwise
        if isinstance(chosen, dict) and at in chosen:
            result[at] = chosen[at]
        elif isinstance(chosen, float):
            result[at] = chosen
    return result


def _differences(series: Series, per_second: bool) -> Series:
    times = sorted(series)
    return {
        at: (series[at] - series[before]) / ((at - before) if per_second else 1)
        for before, at in pairwise(times)
    }


def _change(per_second: bool) -> Callable[..., Value]:
    def function(_context: Context, value: Value) -> Value:
        if isinstance(value, list):
            return [_differences(each, per_second) for each in value]
        return _differences(as_list(value)[0], per_second)

    return function


def _period(context: Context, _metric: Value) -> Value:
    return float(context.period_s)


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)


def _running_sum(_context: Context, value: Value) -> Value:
    total, result = 0.0, {}
    for at, each in sorted(as_list(value)[0].items()):
        total += each
        result[at] = total
    return result


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "SUM": _reduced(sum),
    "AVG": _reduced(_mean),
    "MIN": _reduced(min),
    "MAX": _reduced(max),
    "ABS": _each(abs),
    "CEIL": _each(lambda value: float(-(-value // 1))),
    "FLOOR": _each(lambda value: float(value // 1)),
    "IF": _if,
    "RATE": _change(per_second=True),
    "DIFF": _change(per_second=False),
    "PERIOD": _period,
    "RUNNING_SUM": _running_sum,
}
NAMES = (*FUNCTIONS, "FILL", "METRICS")
