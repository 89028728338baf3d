"""What goes to S3 of a program that was killed: no file that it may have been writing."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sagemaker_local.jobs import cluster
from sagemaker_local.jobs.kinds import TRAINING
from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.synchronisation import SyncedFolder, Synchronisation
from sagemaker_local.s3.object_store import ObjectStore

PROGRAM = """#!/usr/bin/env python
import json, os, pathlib, signal, sys, time
base = pathlib.Path("/opt/ml")
host = json.loads((base / "input/config/resourceconfig.json").read_text())["current_host"]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(host, "runs", flush=True)
"""
TWO: dict[str, Any] = {
    "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints/"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
}


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    objects = ObjectStore(tmp_path / "s3")
    objects.create_bucket("bucket")
    return objects


def folder(tmp_path: Path, ended: bool) -> SyncedFolder:
    directory = tmp_path / "checkpoints"
    directory.mkdir()
    host: Any = SimpleNamespace(program_ended=ended)
    return SyncedFolder(directory, Location.parse("s3://bucket/checkpoints"), host)


def keys(objects: ObjectStore) -> list[str]:
    return [found.key for found in objects.iter_objects("bucket", "checkpoints/")]


async def test_its_last_second_ends_with_its_end_however_late_the_upload_comes(
    objects: ObjectStore, tmp_path: Path
) -> None:
    synced = folder(tmp_path, ended=True)
    killed_at = time.time() - 60
    for name, before_s in (("whole", 2.0), ("half", 0.5)):
        path = synced.directory / name
        path.write_text(name)
        os.utime(path, (killed_at - before_s, killed_at - before_s))
    run: Any = SimpleNamespace(objects=objects, kind=TRAINING, name="job")
    await Synchronisation(run, [synced]).finish(killed_at=killed_at)
    assert keys(objects) == ["checkpoints/whole"]


@pytest.mark.parametrize("ended", [False, True])
def test_a_file_at_rest_is_whole_only_while_somebody_could_write_it(tmp_path: Path, ended: bool) -> None:
    synced = folder(tmp_path, ended=False)
    (synced.directory / "file").write_text("x")
    assert synced.settled() == []
    synced.host.program_ended = ended  # type: ignore[misc]
    assert [path.name for path, _ in synced.settled()] == ([] if ended else ["file"])


@pytest.mark.parametrize(
    ("first", "second"),
    [("os.kill(os.getpid(), signal.SIGKILL)", "time.sleep(600)"), ("sys.exit(3)", "write()")],
    ids=["the first is killed", "the others are killed for the first"],
)
async def test_hosts_that_die_together_leave_nothing_half(jobs, make_image, monkeypatch, first, second):
    """All of them have time to end, and their files are at rest for long, when the first is over."""
    monkeypatch.setattr(cluster, "FOLLOW_GRACE_S", 3.0)
    uri = make_image("killed", {"train": PROGRAM + f"""
def write():
    with open(base / "checkpoints" / "half", "w") as file:
        while True:
            file.write("part of it")
            file.flush()
            time.sleep(0.01)
if host == "algo-2":
    {second}
while not (base / "checkpoints/go").exists(): time.sleep(0.01)
if "{second}" != "write()":
    (base / "checkpoints/half").write_text("part of it")
{first}
"""})  # fmt: skip
    await jobs.train("t1", uri, **TWO)
    for host in ("algo-1", "algo-2"):
        await jobs.printed("training_job", "t1", f"{host} runs")
    (run,) = jobs.engine._runs.values()
    (run.leader.opt_ml / "checkpoints" / "go").touch()
    assert (await jobs.ended("training_job", "t1"))["TrainingJobStatus"] == "Failed"
    assert run.killed_at is not None
    assert "checkpoints/half" not in jobs.keys("checkpoints/")
