from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.triggers.log_place import LogPlace
from airflow_sagemaker.triggers.log_position import (
    CURSOR_EVENTS,
    RECENT_EVENTS,
    STREAMS_KEPT,
    LogPosition,
    StreamPosition,
)

PLACE = LogPlace("group", "job/")


@given(st.lists(st.integers(0, 60)), st.lists(st.integers(0, 60)))
def test_an_event_is_new_once_in_whatever_order(first: list[int], second: list[int]) -> None:
    position = StreamPosition()
    taken = [number for number in first + second if position.take(number // 3, str(number))]
    assert sorted(taken) == sorted({*first, *second})


def test_what_is_kept_does_not_grow() -> None:
    position = StreamPosition()
    for number in range(10 * RECENT_EVENTS):
        assert position.take(number // 500, f"{number:056d}")
    assert len(position.recent) == RECENT_EVENTS
    assert not any(position.take(number // 500, f"{number:056d}") for number in range(10 * RECENT_EVENTS))


def test_streams_come_and_go() -> None:
    position = LogPosition()
    for number in range(2 * STREAMS_KEPT):
        assert position.take(f"AllTraffic/{number}", number, "1")
    assert len(position.streams) == STREAMS_KEPT
    assert f"AllTraffic/{2 * STREAMS_KEPT - 1}" in position.streams


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 300)), min_size=1, max_size=300))
def test_a_cursor_knows_what_was_read(events: list[tuple[str, int]]) -> None:
    position = LogPosition(complete_ms=7)
    for stream, number in events:
        position.take(stream, number, str(number))
    kept = json.loads(json.dumps(position.as_json(PLACE)))
    again = LogPosition.from_json(kept, PLACE)
    assert again is not None
    assert (again.complete_ms, again.lines) == (7, position.lines)
    assert not any(again.take(stream, number, str(number)) for stream, number in events)
    assert all(again.take(stream, 301, "301") for stream, _ in set(events) and {("a", 0), ("b", 0)})


def test_a_cursor_is_small_and_tells_late_events_from_old_ones() -> None:
    position = LogPosition()
    for number in range(0, 2000, 2):
        position.take("job/algo-1-1", number, f"{number:056d}")
    kept = position.as_json(PLACE)
    assert len(json.dumps(kept)) < 100 * CURSOR_EVENTS
    again = LogPosition.from_json(kept, PLACE)
    assert again is not None
    assert again.take("job/algo-1-1", 1997, f"{1997:056d}")
    assert not again.take("job/algo-1-1", 1996, f"{1996:056d}")


@pytest.mark.parametrize(
    "kept",
    [
        None,
        "what",
        {},
        {"group": "group", "prefix": "other/"},
        {"group": "group", "prefix": "job/", "streams": {"a": 1}},
        {"group": "group", "prefix": "job/", "streams": []},
    ],
)
def test_a_cursor_of_elsewhere_is_none(kept: object) -> None:
    assert LogPosition.from_json(kept, PLACE) is None  # type: ignore[arg-type]
