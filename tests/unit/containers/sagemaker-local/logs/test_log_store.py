from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.logs.records import BEGINNING, END, NoSuchGroup, NoSuchStream


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    opened = LogStore(tmp_path / "logs")
    yield opened
    opened.close()


def messages(store: LogStore, group: str, stream: str) -> list[str]:
    return [event.message for event in store.get_events(group, stream)]


def test_appending_makes_what_is_missing(store: LogStore) -> None:
    store.append("/g", "s", [(5, "later"), (3, "earlier"), (4, "")])
    assert messages(store, "/g", "s") == ["earlier", "later"]
    (stream,) = store.describe_streams("/g")
    assert (stream.name, stream.first_ms, stream.last_ms) == ("s", 3, 5)
    store.append("/g", "s", [(1, "earliest")])
    (stream,) = store.describe_streams("/g")
    assert (stream.first_ms, stream.last_ms) == (1, 5)


def test_reading_what_is_not_there(store: LogStore) -> None:
    with pytest.raises(NoSuchGroup):
        store.get_events("/g", "s")
    store.create_group("/g")
    with pytest.raises(NoSuchStream):
        store.get_events("/g", "s")
    with pytest.raises(NoSuchStream):
        store.append_existing("/g", "s", [(1, "x")])
    with pytest.raises(NoSuchGroup):
        store.filter_events("/absent")


def test_everything_is_there_when_opened_again(store: LogStore, tmp_path: Path) -> None:
    store.append("/g", "s", [(1, "one"), (2, "zwei ü 🐘")])
    again = LogStore(tmp_path / "logs")
    assert messages(again, "/g", "s") == ["one", "zwei ü 🐘"]
    again.close()


def test_deleting_a_group_leaves_others(store: LogStore) -> None:
    store.append("/g", "s", [(1, "gone")])
    store.append("/h", "s", [(1, "kept")])
    store.delete_group("/g")
    store.append("/g", "s", [(2, "new")])
    assert (messages(store, "/g", "s"), messages(store, "/h", "s")) == (["new"], ["kept"])


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    times=st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=4),
    limit=st.integers(1, 4),
    start_ms=st.integers(0, 4),
)
def test_pages_both_ways_meet_every_event_once(
    store: LogStore, times: list[list[int]], limit: int, start_ms: int
) -> None:
    for group in store.describe_groups():
        store.delete_group(group.name)
    store.append("/g", "s", [])
    count = 0
    expected: list[tuple[int, int]] = []
    for batch in times:
        lines = []
        for time_ms in batch:
            count += 1
            lines.append((time_ms, str(count)))
            expected.append((time_ms, count))
        store.append("/g", "s", lines)
    wanted = [str(number) for time_ms, number in sorted(expected) if time_ms >= start_ms]
    forward: list[str] = []
    position = BEGINNING
    while page := store.get_events("/g", "s", after=position, start_ms=start_ms, limit=limit):
        forward += [event.message for event in page]
        position = page[-1].position
    backward: list[str] = []
    position = END
    while page := store.get_events("/g", "s", before=position, start_ms=start_ms, limit=limit):
        backward = [event.message for event in page] + backward
        position = page[0].position
    filtered: list[str] = []
    after: tuple[int, int] | None = BEGINNING
    while after is not None:
        found = store.filter_events("/g", after=after, start_ms=start_ms, limit=limit)
        filtered += [event.message for event in found.events]
        after = found.next_position
    assert forward == backward == filtered == wanted


def test_many_threads_lose_nothing(store: LogStore) -> None:
    def write(stream: str) -> None:
        for number in range(50):
            store.append("/g", stream, [(number, f"{stream} {number}")])

    threads = [threading.Thread(target=write, args=(f"s{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.filter_events("/g").events) == 300
    for number in range(6):
        assert messages(store, "/g", f"s{number}") == [f"s{number} {at}" for at in range(50)]


def test_filtering_reads_past_more_than_one_batch(store: LogStore) -> None:
    store.append("/g", "s", [(number, "noise") for number in range(5000)] + [(5001, "needle")])
    page = store.filter_events("/g", matches=lambda message: message == "needle")
    assert [event.message for event in page.events] == ["needle"]
    assert page.next_position is None
