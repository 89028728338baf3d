"""A warm pool is one job's at a time, also when several look for one at the same moment."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local.jobs.kinds import TRAINING
from sagemaker_local.jobs.warm_pool import WarmPools
from sagemaker_local.names import now
from sagemaker_local.store import Record, Store

RESOURCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "KeepAlivePeriodInSeconds": 600}


def add(store: Store, name: str, pool: str | None = None) -> None:
    document: dict[str, Any] = {"ResourceConfig": RESOURCES, "TrainingJobStatus": "InProgress"}
    if pool is not None:
        over = {"TrainingJobStatus": "Completed", "TrainingEndTime": now()}
        document |= {**over, "WarmPoolStatus": {"Status": pool}}
    store.insert(Record(TRAINING.kind, name, f"arn:{name}", document))


def status(store: Store, name: str) -> Any:
    return store.get(TRAINING.kind, name).document.get("WarmPoolStatus")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store.sqlite")
    add(store, "before", "Available")
    for name in ("first", "second"):
        add(store, name)
    (tmp_path / "pools" / "before" / "algo-1").mkdir(parents=True)
    return store


class Meeting(WarmPools):
    """Lets all that look for a pool see it before one of them takes it."""

    def __init__(self, store: Store, directory: Path, seekers: int) -> None:
        super().__init__(store, directory)
        self.found = threading.Barrier(seekers)
        self.seen: list[str] = []

    def _matches(self, record: Record, wanted: Any) -> bool:
        matches = super()._matches(record, wanted)
        if matches and record.name == "before":
            self.seen.append(record.name)
            self.found.wait(60)
        return matches


def test_of_two_jobs_that_find_a_pool_one_has_it(store, tmp_path):
    pools = Meeting(store, tmp_path / "pools", seekers=2)
    with ThreadPoolExecutor(2) as threads:
        for ended in [threads.submit(pools.take, each, {"ResourceConfig": RESOURCES}) for each in (
            "first", "second",
        )]:  # fmt: skip
            ended.result(60)
    assert len(pools.seen) == 2
    taker = status(store, "before")["ReusedByJob"]
    (other,) = {"first", "second"} - {taker}
    assert (tmp_path / "pools" / taker / "algo-1").is_dir()
    assert list((tmp_path / "pools" / other).iterdir()) == []
    assert [status(store, each)["Status"] for each in ("before", taker, other)] == [
        "Reused",
        "InUse",
        "InUse",
    ]


def test_a_pool_whose_time_is_up_as_it_is_found_is_gone(store, tmp_path):
    pools = Meeting(store, tmp_path / "pools", seekers=1)
    pools.found = threading.Barrier(1, action=lambda: pools._expire("before"))
    pools.take("first", {"ResourceConfig": RESOURCES})
    assert status(store, "before")["Status"] == "Terminated"
    assert list((tmp_path / "pools" / "first").iterdir()) == []


def test_the_clock_of_a_pool_that_was_just_taken_takes_nothing(store, tmp_path):
    pools = WarmPools(store, tmp_path / "pools")
    pools.take("first", {"ResourceConfig": RESOURCES})
    pools._expire("before")
    assert status(store, "before")["ReusedByJob"] == "first"
    assert (tmp_path / "pools" / "first" / "algo-1").is_dir()
