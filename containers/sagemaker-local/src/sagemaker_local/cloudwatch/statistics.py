"""Statistic sets that add up: sum, count, extremes, and how the values are distributed.

A distribution keeps every value with its count while there are few different ones; beyond that values are
rounded to buckets whose width grows with the value, so that a percentile is at most 1 % off. Buckets merge
without a further loss (https://www.vldb.org/pvldb/vol12/p2195-masson.pdf).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

EXACT_VALUES = 64
"""So many different values are kept as they are."""

RELATIVE_ERROR = 0.01
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
LOG_GAMMA = math.log(GAMMA)


def bucket_value(value: float) -> float:
    """The value that stands for all of its bucket; it is its own."""
    if value == 0 or not math.isfinite(value):
        return value
    exponent = math.ceil(math.log(abs(value)) / LOG_GAMMA - 1e-9)
    return math.copysign(2 * math.exp(exponent * LOG_GAMMA) / (GAMMA + 1), value)


@dataclass(slots=True)
class StatisticSet:
    """What is known of the values of a period.

    Attributes:
        total: Sum of the values.
        count: How many there were.
        least, most: The smallest and the largest.
        values: Value → how often; None once a statistic set without values was added: AWS then tells no
            percentiles either.
        exact: The values are as they came; else each stands for its bucket.
    """

    total: float = 0.0
    count: float = 0.0
    least: float = math.inf
    most: float = -math.inf
    values: dict[float, float] | None = field(default_factory=dict)
    exact: bool = True

    def add(self, value: float, count: float = 1.0) -> None:
        """Take a value that occurred ``count`` times."""
        self.total += value * count
        self.count += count
        if value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        values = self.values
        if values is None:
            return
        kept = value if self.exact else bucket_value(value)
        values[kept] = values.get(kept, 0.0) + count
        if self.exact and len(values) > EXACT_VALUES:
            self._round()

    def merge(self, other: StatisticSet) -> None:
        """Take everything that another set has seen."""
        if not other.count:
            return
        self.total += other.total
        self.count += other.count
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)
        if self.values is None or other.values is None:
            self.values = None
            return
        exact = self.exact and other.exact
        for value, count in other.values.items():
            self.values[value] = self.values.get(value, 0.0) + count
        if not exact or len(self.values) > EXACT_VALUES:
            self._round()

    def _round(self) -> None:
        rounded: dict[float, float] = {}
        for value, count in (self.values or {}).items():
            kept = bucket_value(value)
            rounded[kept] = rounded.get(kept, 0.0) + count
        self.values = rounded
        self.exact = False

    def packed_values(self) -> bytes | None:
        """The distribution as it is stored: all values, then all counts."""
        if self.values is None:
            return None
        return array("d", [*self.values, *self.values.values()]).tobytes()

    @classmethod
    def unpacked(
        cls, total: float, count: float, least: float, most: float, packed: bytes | None
    ) -> StatisticSet:
        """The reverse of :meth:`packed_values`, with the numbers beside it."""
        if packed is None:
            return cls(total, count, least, most, None)
        numbers = array("d", packed)
        half = len(numbers) // 2
        values = dict(zip(numbers[:half], numbers[half:], strict=True))
        return cls(total, count, least, most, values, exact=half <= EXACT_VALUES)

    def ordered(self) -> Iterator[tuple[float, float]]:
        """Values in order with their counts, none outside the extremes."""
        for value in sorted(self.values or {}):
            yield min(max(value, self.least), self.most), (self.values or {})[value]


def merged(sets: Iterable[StatisticSet]) -> StatisticSet:
    """All sets as one."""
    whole = StatisticSet()
    for each in sets:
        whole.merge(each)
    return whole


def of_values(counts: Mapping[float, float]) -> StatisticSet:
    """A set of values that are known with their counts."""
    whole = StatisticSet()
    for value, count in counts.items():
        whole.add(value, count)
    return whole
