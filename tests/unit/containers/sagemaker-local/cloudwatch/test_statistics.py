"""Statistic sets against the plain arithmetic of all their values."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.cloudwatch.statistic_names import percentile, statistic
from sagemaker_local.cloudwatch.statistics import (
    EXACT_VALUES,
    RELATIVE_ERROR,
    StatisticSet,
    bucket_value,
    merged,
)

numbers = st.floats(-1e12, 1e12, allow_subnormal=False).filter(lambda value: value == 0 or abs(value) > 1e-12)


def of(values: list[float]) -> StatisticSet:
    whole = StatisticSet()
    for value in values:
        whole.add(value)
    return whole


@given(st.lists(numbers, min_size=1, max_size=300), st.integers(1, 7))
def test_any_split_merges_to_the_same(values: list[float], parts: int) -> None:
    whole = merged(of(values[start::parts]) for start in range(parts))
    assert whole.count == len(values)
    assert (whole.least, whole.most) == (min(values), max(values))
    # Rounding adds up to no more than this, in whatever order; the values may cancel one another out.
    most = len(values) * sys.float_info.epsilon * math.fsum(map(abs, values))
    assert abs(whole.total - math.fsum(values)) <= most
    assert sum((whole.values or {}).values()) == len(values)


@given(st.lists(numbers, min_size=1, max_size=400), st.floats(0.01, 1))
def test_percentiles_are_one_percent_off_at_most(values: list[float], share: float) -> None:
    exact = sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
    found = percentile(of(values), share)
    assert found == pytest.approx(exact, rel=2 * RELATIVE_ERROR)


@given(st.lists(numbers, min_size=1, max_size=EXACT_VALUES))
def test_few_values_are_exact(values: list[float]) -> None:
    for share in (0.1, 0.5, 0.99, 1.0):
        assert (
            percentile(of(values), share) == sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
        )


@given(numbers)
def test_a_bucket_stands_for_itself(value: float) -> None:
    assert bucket_value(value) == pytest.approx(value, rel=RELATIVE_ERROR * 1.01)
    assert bucket_value(bucket_value(value)) == pytest.approx(bucket_value(value), rel=1e-12)


@given(st.lists(numbers, max_size=200))
def test_stored_is_read_back(values: list[float]) -> None:
    whole = of(values)
    again = StatisticSet.unpacked(whole.total, whole.count, whole.least, whole.most, whole.packed_values())
    assert again.values == whole.values


def test_memory_is_bounded_however_many_values_come() -> None:
    whole = of([number / 7 for number in range(1, 50_000)])
    assert len(whole.values or {}) < 1000


def test_a_set_without_values_tells_no_percentile() -> None:
    whole = of([1.0, 2.0])
    whole.merge(StatisticSet(10.0, 2.0, 4.0, 6.0, None))
    assert whole.total == 13.0
    assert statistic("p50")(whole) is None
    assert statistic("tm90")(whole) is None
    assert statistic("p50")(StatisticSet(12.0, 3.0, 4.0, 4.0, None)) == 4.0


ONE_TO_TEN = {
    "Sum": 55.0, "Average": 5.5, "p50": 5.0, "tm50": 3.0, "tc50": 5.0, "ts50": 15.0, "wm50": 4.0, "IQM": 5.5,
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), ONE_TO_TEN.items())
def test_statistics_of_one_to_ten(name: str, value: float) -> None:
    assert statistic(name)(of([float(number) for number in range(1, 11)])) == pytest.approx(value)


@pytest.mark.parametrize("name", ["p101", "P50", "Median", "PR(0:1)", "p", ""])
def test_other_names_are_none(name: str) -> None:
    with pytest.raises(KeyError):
        statistic(name)
