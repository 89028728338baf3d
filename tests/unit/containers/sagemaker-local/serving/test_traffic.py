"""Who takes the next request while two fleets serve."""

from __future__ import annotations

from collections import Counter
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.serving.fleet import Fleet
from sagemaker_local.serving.traffic import Traffic


class Named:
    """A fleet that only knows its variants' names."""

    def __init__(self, *variants: str) -> None:
        self.variants = variants

    def serves(self, variant: str) -> bool:
        return variant in self.variants


def fleet(*variants: str) -> Fleet:
    return cast(Fleet, Named(*variants))


@given(st.integers(0, 100))
def test_a_hundred_requests_are_shared_exactly_by_per_cent(percent: int) -> None:
    old, new = fleet("a"), fleet("a")
    traffic = Traffic(old)
    traffic.split({old: 1 - percent / 100, new: percent / 100})
    taken = Counter(traffic.fleet() for _ in range(100))
    assert abs(taken[new] - percent) <= 1


def test_a_variant_that_only_one_fleet_has_is_found_there_whatever_its_share() -> None:
    old, new = fleet("a", "b"), fleet("a")
    traffic = Traffic(old)
    traffic.split({old: 0.0, new: 1.0})
    assert traffic.fleet("b") is old
    assert traffic.fleet("a") is new
    with pytest.raises(KeyError):
        traffic.fleet("none")


def test_a_fleet_that_is_not_named_takes_nothing_any_more() -> None:
    old, new = fleet("a"), fleet("a")
    traffic = Traffic(old)
    traffic.split({new: 1.0})
    assert {traffic.fleet() for _ in range(5)} == {new}
    assert traffic.fleets == [new]
