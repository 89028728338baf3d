"""Statistics by their names in requests: Average, p99, tm90, IQM.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping

from sagemaker_local.cloudwatch.statistics import StatisticSet

Statistic = Callable[[StatisticSet], float | None]
"""None when a period's values do not tell it."""

PLAIN: Mapping[str, Statistic] = {
    "SampleCount": lambda of: of.count,
    "Sum": lambda of: of.total,
    "Average": lambda of: of.total / of.count if of.count else None,
    "Minimum": lambda of: of.least if of.count else None,
    "Maximum": lambda of: of.most if of.count else None,
}
EXTENDED = re.compile(r"(?P<kind>p|tm|tc|ts|wm)(?P<percent>\d{1,2}(\.\d{0,10})?|100)|IQM")
"""Percentile, trimmed mean, trimmed count, trimmed sum, winsorized mean; interquartile mean."""


@functools.lru_cache(maxsize=1024)
def statistic(name: str) -> Statistic:
    """The statistic of a name.

    Raises:
        KeyError: the name is none, or one that is not served (PR, and trimming by bounds in brackets).
    """
    if name in PLAIN:
        return PLAIN[name]
    match = EXTENDED.fullmatch(name)
    if match is None:
        raise KeyError(name)
    if match["kind"] is None:
        return lambda of: _ratio(*_between(of, 0.25, 0.75))
    share = float(match["percent"]) / 100
    by_kind: Mapping[str, Statistic] = {
        "p": lambda of: percentile(of, share),
        "tm": lambda of: _ratio(*_between(of, 0.0, share)),
        "tc": lambda of: None if of.values is None else _between(of, 0.0, share)[1],
        "ts": lambda of: None if of.values is None else _between(of, 0.0, share)[0],
        "wm": lambda of: _winsorized(of, share),
    }
    return by_kind[match["kind"]]


def percentile(of: StatisticSet, share: float) -> float | None:
    """The smallest value that is not below ``share`` of all values."""
    if not of.count:
        return None
    if of.values is None:  # a statistic set tells percentiles only where all its values are one
        return of.least if of.least == of.most or of.count == 1 else None
    wanted = share * of.count
    seen = 0.0
    for value, count in of.ordered():
        seen += count
        if seen >= wanted - 1e-9:
            return value
    return of.most


def _between(of: StatisticSet, low: float, high: float) -> tuple[float, float]:
    """Sum and count of the values whose rank lies between two shares."""
    start, end = low * of.count, high * of.count
    total = kept = seen = 0.0
    for value, count in of.ordered():
        inside = max(0.0, min(seen + count, end) - max(seen, start))
        total += value * inside
        kept += inside
        seen += count
    return total, kept


def _winsorized(of: StatisticSet, share: float) -> float | None:
    limit = percentile(of, share)
    if limit is None or not of.values:
        return None
    return _ratio(*_sum(((min(value, limit), count) for value, count in of.ordered())))


def _sum(pairs: Iterator[tuple[float, float]]) -> tuple[float, float]:
    total = counted = 0.0
    for value, count in pairs:
        total += value * count
        counted += count
    return total, counted


def _ratio(total: float, count: float) -> float | None:
    return total / count if count else None
