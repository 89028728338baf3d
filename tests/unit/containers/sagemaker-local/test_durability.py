"""No answer before the disk has what it tells of; one sync for many commits."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from sagemaker_local.database import Database
from sagemaker_local.durability import CommitLog, is_disk_full, settled
from sagemaker_local.protocol import JsonProtocol
from sagemaker_local.store import Record, Store


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were synced."""
    found: list[str] = []
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        found.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    return found


def record(name: str) -> Record:
    return Record("thing", name, f"arn:{name}", {"Name": name})


def synced(store: Store) -> bool:
    return store.commits.is_synced


async def test_many_commits_one_sync(tmp_path: Path, syncs: list[str]) -> None:
    store = Store(tmp_path / "store.sqlite")
    for number in range(20):
        store.insert(record(str(number)))
    assert not synced(store)
    await asyncio.gather(*(settled(store.commits) for _ in range(10)))
    assert synced(store)
    assert syncs == ["store.sqlite-wal"]
    store.get("thing", "1")
    await settled(store.commits)
    assert syncs == ["store.sqlite-wal"]
    store.close()


async def test_databases_tell_as_well(tmp_path: Path, syncs: list[str]) -> None:
    database = Database(tmp_path / "d.sqlite3", "CREATE TABLE IF NOT EXISTS t (x)")
    with database.writing() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    await settled(database.commits)
    assert syncs == ["d.sqlite3-wal"]
    database.close()


async def test_a_transaction_that_failed_needs_no_sync(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    with contextlib.suppress(ZeroDivisionError), store.transaction():
        store.insert(record("a"))
        raise ZeroDivisionError
    assert store.commits.is_synced
    assert store.list("thing") == []
    store.close()


def test_a_sync_that_fails_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store.sqlite")
    store.insert(record("a"))

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(OSError, match="gone"):
            store.commits.sync()
    assert not store.commits.is_synced
    store.close()


def answer_of(store: Store, handler: Callable[..., Any]) -> Any:
    services: Any = SimpleNamespace(
        store=store, logs=SimpleNamespace(commits=SimpleNamespace(is_synced=True))
    )
    protocol = JsonProtocol("sagemaker", {"DescribeEndpoint": handler}, services)
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"",
             "headers": [(b"x-amz-target", b"SageMaker.DescribeEndpoint")]}  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"EndpointName": "a"}'}

    return protocol(Request(scope, receive))


async def test_no_answer_before_the_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store.sqlite")
    gate = threading.Event()
    real = CommitLog.sync

    def slow(self: CommitLog) -> None:
        gate.wait(30)
        real(self)

    monkeypatch.setattr(CommitLog, "sync", slow)

    async def create(_services: Any, request: dict[str, Any]) -> dict[str, Any]:
        store.insert(record(request["EndpointName"]))
        return {}

    task = asyncio.create_task(answer_of(store, create))
    for _ in range(200):
        await asyncio.sleep(0.001)
    assert not task.done()
    gate.set()
    assert (await task).status_code == 200
    store.close()


async def test_a_full_disk_is_named_and_the_next_write_works(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    store.insert(record("kept"))
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count={pages}")

    async def create(_services: Any, _request: dict[str, Any]) -> dict[str, Any]:
        store.insert(Record("thing", "big", "arn:big", {"Text": "x" * 100_000}))
        return {}

    answer = await answer_of(store, create)
    assert answer.status_code == 500
    assert b"disk of the local SageMaker's data directory is full" in answer.body
    store._connection.execute("PRAGMA max_page_count=100000")
    store.insert(record("next"))
    store.close()
    again = Store(tmp_path / "store.sqlite")
    assert [each.name for each in again.list("thing")] == ["kept", "next"]
    again.close()


def test_which_errors_are_a_full_disk() -> None:
    assert is_disk_full(OSError(errno.ENOSPC, "no space"))
    assert is_disk_full(sqlite3.OperationalError("database or disk is full"))
    assert not is_disk_full(OSError(errno.EIO, "broken"))
    assert not is_disk_full(sqlite3.OperationalError("no such table"))


def test_lists_are_kept_and_follow_every_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    store = Store(tmp_path / "store.sqlite")
    for number in range(50):
        store.insert(record(f"{number:02}"))
    assert len(store.list("thing")) == 50
    read = 0
    loads = json.loads

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal read
        read += 1
        return loads(*args, **kwargs)

    monkeypatch.setattr(json, "loads", counted)
    store.list("thing")
    assert read == 0, "a list of records that did not change must not read them again"
    store.update("thing", "07", lambda each: each.document.update(New=1))
    store.delete("thing", "08")
    store.insert(record("99"))
    with contextlib.suppress(ZeroDivisionError), store.transaction():
        store.update("thing", "09", lambda each: each.document.update(New=2))
        store.list("thing")  # sees what is taken back
        raise ZeroDivisionError
    listed = {each.name: each.document for each in store.list("thing")}
    assert (listed["07"]["New"], "08" in listed, "99" in listed, listed["09"]) == (
        1,
        False,
        True,
        {"Name": "09"},
    )
    with pytest.raises(TypeError, match="shared"):
        store.list("thing")[0].document["x"] = 1
    store.close()
