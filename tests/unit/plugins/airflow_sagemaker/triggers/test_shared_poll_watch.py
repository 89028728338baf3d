"""When a trigger has to look for itself, by what the poll found."""

from __future__ import annotations

import asyncio
import gc

import pytest

from airflow_sagemaker.triggers.shared_poll_listings import Mark
from airflow_sagemaker.triggers.shared_poll_watch import (
    BEAT,
    PollKey,
    Tick,
    Watch,
    interval_class_s,
    watch_of,
)

ACTIVE = ("InProgress", "Stopping")
RUNNING = Mark("InProgress", 1.0)
NAMED = frozenset({"job"})


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.mark.parametrize(
    ("tick", "due"),
    [
        (Tick(1), True),
        (Tick(1, marks={"job": RUNNING}), False),
        (Tick(1, marks={"job": Mark("Completed", 1.0)}), True),
        (Tick(1, swept=True), False),
        (Tick(1, swept=True, gone=NAMED), True),
        (Tick(1, told=NAMED), True),
        (BEAT, False),
        (Tick(0, trouble="throttled"), False),
        (Tick(0, told=NAMED), True),
    ],
    ids=str,
)
def test_a_newcomer_looks_unless_it_is_known_to_be_active(watch: Watch, tick: Tick, due: bool) -> None:
    with watch.waiting("job") as attention:
        attention.note(tick, ACTIVE)
        assert attention.due is due


def test_a_look_that_began_before_the_trigger_came_tells_it_nothing(watch: Watch) -> None:
    number = watch.begin_look()
    with watch.waiting("job") as attention:
        attention.note(Tick(number, swept=True), ACTIVE)
        assert "job" in watch.newcomers
        attention.note(Tick(watch.begin_look(), swept=True), ACTIVE)
        assert not watch.newcomers
        assert not attention.due


@pytest.mark.parametrize(
    ("tick", "due"),
    [
        (Tick(2), False),
        (Tick(2, marks={"another": Mark("Completed", 9.0)}), False),
        (Tick(2, marks={"job": RUNNING}), False),
        (Tick(2, marks={"job": Mark("InProgress", 2.0)}), True),
        (Tick(2, marks={"job": Mark("InProgress", 0.5)}), False),
        (Tick(2, marks={"job": Mark("Stopping", 1.0)}), True),
        (Tick(2, swept=True), False),
        (Tick(2, swept=True, gone=NAMED), True),
        (Tick(2, told=NAMED), True),
    ],
    ids=str,
)
def test_later_only_a_change_makes_it_look(watch: Watch, tick: Tick, due: bool) -> None:
    with watch.waiting("job") as attention:
        attention.looked(RUNNING, "InProgress")
        attention.note(tick, ACTIVE)
        assert attention.due is due


def test_where_describe_lags_behind_the_list_it_looks_again(watch: Watch) -> None:
    ended = Tick(2, marks={"job": Mark("Completed", 5.0)})
    with watch.waiting("job") as attention:
        attention.note(ended, ACTIVE)
        attention.looked(None, "InProgress")
        attention.note(ended, ACTIVE)
        assert attention.due
        attention.looked(None, "Completed")
        attention.note(ended, ACTIVE)
        assert not attention.due


def test_names_are_waited_for_as_long_as_any_trigger_does(watch: Watch) -> None:
    with watch.waiting("job"):
        with watch.waiting("job"):
            assert len(watch) == 1
        assert "job" in watch
    assert "job" not in watch
    assert not watch.newcomers


async def test_an_event_cuts_a_pause_short_and_is_told_once(watch: Watch) -> None:
    watch.tell("job")
    assert await watch.woken(60)
    assert watch.take_told() == NAMED
    assert watch.take_told() == frozenset()
    assert not await watch.woken(0.001)


async def test_a_watch_lives_as_long_as_someone_holds_it() -> None:
    key = PollKey("c", None, "us-east-1", "training_job", 10.0)
    watch = watch_of(key)
    assert watch_of(key) is watch
    assert watch_of(key._replace(region="eu-west-1")) is not watch
    number = id(watch)
    watch.begin_look()
    del watch
    gc.collect()
    assert watch_of(key).looks == 0, number


@pytest.mark.parametrize(
    ("asked", "group"), [(0.001, 0.001), (1, 1.0), (10.0, 10.0), (12.0, 10.0), (59.9, 30.0), (4000, 300.0)]
)
def test_intervals_that_are_almost_the_same_share_a_poll(asked: float, group: float) -> None:
    assert interval_class_s(asked) == group


async def test_few_look_at_once(watch: Watch) -> None:
    at_once, most = 0, 0

    async def look() -> None:
        nonlocal at_once, most
        async with watch.gate:
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1

    await asyncio.gather(*[look() for _ in range(100)])
    assert most == 5
