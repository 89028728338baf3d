"""Who gets the next request."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.serving.model_server import ModelServer
from sagemaker_local.serving.router import Router, Variant


@dataclass(eq=False)
class Instance:
    """The two things that routing looks at."""

    ready: bool = True
    outstanding: int = 0


def variant(*instances: Instance, name: str = "a", weight: float = 1.0) -> Variant:
    return Variant(name, weight, cast(list[ModelServer], list(instances) or [Instance()]))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any))
def test_one_round_of_requests_is_shared_exactly_by_weight(weights: list[int]) -> None:
    router = Router([variant(name=str(at), weight=weight) for at, weight in enumerate(weights)])
    for _ in range(2):
        taken = Counter(router.variant().name for _ in range(sum(weights)))
        assert [taken[str(at)] for at in range(len(weights))] == weights or len(weights) == 1


def test_a_variant_is_found_by_name_whatever_its_weight() -> None:
    router = Router([variant(name="a"), variant(name="b", weight=0)])
    assert router.variant("b").name == "b"
    with pytest.raises(KeyError):
        router.variant("none")


def test_the_least_busy_instance_is_picked() -> None:
    idle = Instance(outstanding=1)
    chosen = variant(Instance(outstanding=3), idle, Instance(outstanding=2))
    assert {id(chosen.pick()) for _ in range(5)} == {id(idle)}


def test_equally_busy_instances_take_turns() -> None:
    instances = [Instance() for _ in range(3)]
    chosen = variant(*instances)
    assert Counter(id(chosen.pick()) for _ in range(9)) == {id(each): 3 for each in instances}


def test_an_instance_that_is_not_ready_is_passed_over_while_another_is() -> None:
    ready = Instance(outstanding=9)
    assert variant(Instance(ready=False), ready).pick() is cast(object, ready)
    away = Instance(ready=False)
    assert variant(away).pick() is cast(object, away)
