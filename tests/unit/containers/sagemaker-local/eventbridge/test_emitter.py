"""Which changes become events, and when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sagemaker_local.eventbridge.emitter import StateChangeEvents
from sagemaker_local.settings import Settings
from sagemaker_local.store import Record, Store

ARN = "arn:aws:sagemaker:us-east-1:123456789012:processing-job/a"


class Bus:
    """Stands for moto and its rules; notes each event and whether the disk had its change by then."""

    def __init__(self, store: Store) -> None:
        self.has_rules = True
        self.fails = False
        self.events: list[dict[str, Any]] = []
        self.was_synced: list[bool] = []
        self._store = store

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        yield

    def take(self, event: dict[str, Any]) -> None:
        if self.fails:
            self.fails = False
            raise ZeroDivisionError
        self.events.append(event)
        self.was_synced.append(self._store.commits.is_synced)

    @property
    def statuses(self) -> list[str]:
        return [event["detail"]["ProcessingJobStatus"] for event in self.events]


def run(settings: Settings, act: Callable[[Store, Bus], None], count: int) -> Bus:
    """Let something act on a store that is watched, until so many events have come, and a little longer."""

    async def live() -> Bus:
        store = Store(settings.data_dir / "store.sqlite")
        bus = Bus(store)
        services = SimpleNamespace(settings=settings, store=store, logs=None, moto=bus)
        events = StateChangeEvents(services)  # type: ignore[arg-type]
        events._rules = bus  # type: ignore[assignment]
        await events.start()
        act(store, bus)
        for _ in range(3000):
            if len(bus.events) >= count:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # for one too many
        await events.close()
        store.close()
        return bus

    return asyncio.run(live())


def insert(store: Store, status: str = "InProgress") -> None:
    store.insert(
        Record("processing_job", "a", ARN, {"ProcessingJobStatus": status, "CreationTime": 1.5}),
        {"team": "a"},
    )


def set_status(store: Store, status: str) -> None:
    store.update("processing_job", "a", lambda found: found.document.update(ProcessingJobStatus=status))


def test_every_change_is_told_once_in_order_and_after_the_disk_has_it(settings: Settings) -> None:
    def act(store: Store, bus: Bus) -> None:
        insert(store)
        store.update("processing_job", "a", lambda found: found.document.update(ExitMessage="x"))
        for status in ("Stopping", "Stopped"):
            set_status(store, status)

    bus = run(settings, act, 3)
    assert bus.statuses == ["InProgress", "Stopping", "Stopped"]
    assert bus.was_synced == [True] * 3
    assert bus.events[0]["detail"] == {"ProcessingJobStatus": "InProgress", "CreationTime": 1500}
    assert bus.events[0]["resources"] == [ARN]


def test_who_comes_late_is_told_of_changes_only(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """A rule that is made while a record is written must not make a change of one that is none."""

    def act(store: Store, bus: Bus) -> None:
        bus.has_rules = False
        insert(store)

        def and_a_rule(record: Record) -> None:
            bus.has_rules = True
            record.document["ExitMessage"] = "x"

        store.update("processing_job", "a", and_a_rule)
        set_status(store, "Completed")

    assert run(settings, act, 1).statuses == ["Completed"]
    assert not caplog.records


def test_an_event_that_fails_costs_none_after_it(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def act(store: Store, bus: Bus) -> None:
        bus.fails = True
        insert(store)
        set_status(store, "Completed")

    assert run(settings, act, 1).statuses == ["Completed"]
    assert ARN in caplog.text
