"""Tasks of records: taken up, called to stop, waited for, left as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sagemaker_local.record_tasks import RecordTasks
from sagemaker_local.store import Record, Store


class Searches(RecordTasks):
    """Each ends when it is called to stop."""

    kind, status_field, alive = "search", "Status", frozenset({"InProgress", "Stopping"})

    async def _live(self, name: str, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._records.update("search", name, lambda record: record.document.update(Status="Stopped"))
        await asyncio.sleep(0)  # there is more to do after its record's end

    def stop(self, name: str) -> None:
        self._call_to_stop(name)

    def status(self, name: str) -> str:
        return str(self._records.get("search", name).document["Status"])


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(tmp_path / "store.sqlite")
    for name, status in (("runs", "InProgress"), ("stops", "Stopping"), ("over", "Completed")):
        opened.insert(Record("search", name, f"arn:{name}", {"Status": status}))
    yield opened
    opened.close()


async def test_records_that_are_not_over_are_taken_up_and_one_that_was_stopping_stops(store: Store) -> None:
    searches = Searches(store)
    await searches.start()
    async with asyncio.timeout(30):
        await searches.ended("stops")
        await searches.ended("over")
        await searches.ended("nobody")
    assert [searches.status(name) for name in ("runs", "stops", "over")] == [
        "InProgress",
        "Stopped",
        "Completed",
    ]
    await searches.close()
    assert searches.status("runs") == "InProgress", "it is left for the next start"


async def test_who_waits_sees_the_end(store: Store) -> None:
    searches = Searches(store)
    await searches.start()
    waiting = asyncio.create_task(searches.ended("runs"))
    await asyncio.sleep(0)
    assert not waiting.done()
    searches.stop("runs")
    await asyncio.wait_for(waiting, 30)
    assert searches.status("runs") == "Stopped"


async def test_the_end_of_a_task_does_not_forget_the_one_that_took_its_place(store: Store) -> None:
    searches = Searches(store)
    searches.submit("runs")
    searches.stop("runs")
    for _ in range(5):
        if searches.status("runs") == "Stopped":
            break
        await asyncio.sleep(0)
    searches.submit("runs")
    for _ in range(5):
        await asyncio.sleep(0)
    waiting = asyncio.create_task(searches.ended("runs"))
    await asyncio.sleep(0)
    assert not waiting.done(), "the second one runs, and is known"
    await searches.close()
    await waiting
