"""Warm pools: instances that a training job leaves for the next one that matches.

Nothing boots here, so what a pool really keeps is its cache directory,
``/opt/ml/sagemaker/warmpoolcache``: what one job leaves in it the next one finds. The states are AWS's, and
kept in the record of the job that the pool came from.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sagemaker_local.executors.base import Mount
from sagemaker_local.executors.process import remove_tree
from sagemaker_local.jobs.host import Host
from sagemaker_local.jobs.kinds import TRAINING
from sagemaker_local.names import now
from sagemaker_local.store import NotFound, Record, Store

CACHE = "/opt/ml/sagemaker/warmpoolcache"
CACHE_VARIABLE = "SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"

MATCHING = (
    ("RoleArn",),
    ("ResourceConfig", "InstanceType"),
    ("ResourceConfig", "InstanceCount"),
    ("ResourceConfig", "VolumeKmsKeyId"),
    ("VpcConfig",),
    ("EnableInterContainerTrafficEncryption",),
    ("EnableNetworkIsolation",),
    ("SessionChainingConfig",),
)
"""What two jobs must have alike for one to take the other's pool."""


class WarmPools:
    """The pools of all training jobs.

    Args:
        store: Their records.
        directory: Where their caches lie, one directory for each pool.
    """

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._directory = directory
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def start(self) -> None:
        """Take up the pools that an earlier server left; those whose time is up are gone."""
        known = set()
        for record in self._store.list(TRAINING.kind):
            status = record.document.get("WarmPoolStatus", {}).get("Status")
            if status == "Available":
                self._arm(record)
            if status == "InUse" and record.document["TrainingJobStatus"] not in TRAINING.statuses.alive:
                self._set(record.name, "Terminated")
            elif status in ("Available", "InUse"):
                known.add(record.name)
        if self._directory.is_dir():
            for leftover in self._directory.iterdir():
                if leftover.name not in known:
                    remove_tree(leftover)

    def close(self) -> None:
        """Forget the clocks; the records say until when each pool is kept."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def take(self, name: str, document: Mapping[str, Any]) -> None:
        """Give a job that keeps its instances a pool: a matching one's cache, or an empty one."""
        if not keep_alive_s(document):
            return
        own = self._directory / name
        for record in self._store.list(TRAINING.kind):
            if record.name == name or not self._matches(record, document):
                continue
            # Others look for a pool at the same time, and its time may be up at this very moment.
            if self._leave_available(record.name, "Reused", ReusedByJob=name):
                self._disarm(record.name)
                remove_tree(own)
                cache = self._directory / record.name
                if cache.exists():
                    cache.rename(own)
                break
        own.mkdir(parents=True, exist_ok=True)
        self._set(name, "InUse")

    def mounts(self, name: str, host: Host, document: Mapping[str, Any]) -> tuple[Mount, ...]:
        """The pool's cache, as a host's program sees it."""
        if not keep_alive_s(document):
            return ()
        directory = self._directory / name / host.name
        directory.mkdir(parents=True, exist_ok=True)
        (host.opt_ml / CACHE.removeprefix("/opt/ml/")).mkdir(parents=True, exist_ok=True)
        return (Mount(directory, CACHE, read_only=False),)

    def release(self, name: str) -> None:
        """The job is over: its instances wait for another if it completed, else they are gone."""
        record = self._store.get(TRAINING.kind, name)
        if record.document.get("WarmPoolStatus", {}).get("Status") != "InUse":
            return
        seconds = keep_alive_s(record.document)
        if record.document["TrainingJobStatus"] != "Completed" or not seconds:
            self._terminate(name)
            return
        self._set(name, "Available")
        self._arm(self._store.get(TRAINING.kind, name))

    def update(self, name: str) -> None:
        """KeepAlivePeriodInSeconds was changed; 0 ends the pool."""
        record = self._store.get(TRAINING.kind, name)
        if record.document.get("WarmPoolStatus", {}).get("Status") == "Available":
            self._arm(record)

    def delete(self, name: str) -> None:
        """The job's record goes, and its pool with it."""
        self._disarm(name)
        remove_tree(self._directory / name)

    def _matches(self, record: Record, wanted: Mapping[str, Any]) -> bool:
        document = record.document
        return document.get("WarmPoolStatus", {}).get("Status") == "Available" and all(
            _at(document, path) == _at(wanted, path) for path in MATCHING
        )

    def _arm(self, record: Record) -> None:
        self._disarm(record.name)
        until = record.document["TrainingEndTime"] + keep_alive_s(record.document)
        if until <= now():
            self._expire(record.name)
            return
        loop = asyncio.get_running_loop()
        self._timers[record.name] = loop.call_later(until - now(), self._expire, record.name)

    def _disarm(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def _expire(self, name: str) -> None:
        self._disarm(name)
        if self._leave_available(name, "Terminated"):
            remove_tree(self._directory / name)

    def _terminate(self, name: str) -> None:
        self._disarm(name)
        remove_tree(self._directory / name)
        try:
            self._set(name, "Terminated")
        except NotFound:
            return  # deleted meanwhile

    def _leave_available(self, name: str, status: str, **more: str) -> bool:
        """Take a pool that is available; whether it still was."""
        try:
            return self._set(name, status, only_from="Available", **more)
        except NotFound:
            return False  # deleted meanwhile

    def _set(self, name: str, status: str, only_from: str | None = None, **more: str) -> bool:
        at = now()
        done = False

        def change(record: Record) -> None:
            nonlocal done
            before = record.document.get("WarmPoolStatus", {}).get("Status")
            if only_from not in (None, before):
                return
            done = True
            new: dict[str, Any] = {"Status": status, **more}
            if before == "Available":
                kept_s = min(at - record.document["TrainingEndTime"], keep_alive_s(record.document))
                new["ResourceRetainedBillableTimeInSeconds"] = max(0, round(kept_s))
            record.document["WarmPoolStatus"] = new

        self._store.update(TRAINING.kind, name, change)
        return done


def keep_alive_s(document: Mapping[str, Any]) -> int:
    """For how long a job's instances are kept; 0 for not at all."""
    return int(document.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds", 0))


def _at(document: Mapping[str, Any], path: Sequence[str]) -> Any:
    found: Any = document
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found or None
