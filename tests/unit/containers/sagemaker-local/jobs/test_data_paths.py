"""Between S3 and a job's directories: bytes are copied by the kernel, files go up several at a time."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sagemaker_local import file_copies
from sagemaker_local.jobs import outputs
from sagemaker_local.jobs.inputs import S3Input, place
from sagemaker_local.jobs.locations import Location
from sagemaker_local.s3.object_store import ObjectStore

BODY = b"0123456789" * 100_000


def run_on(objects: Any) -> Any:
    """What of a job inputs and outputs need."""
    return SimpleNamespace(objects=objects, abandoned=threading.Event())


async def test_a_jobs_inputs_and_outputs_are_copied_by_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[int] = []
    plain = file_copies._by_range

    def counted(source: int, target: int) -> int:
        copied.append(plain(source, target))
        return copied[-1]

    objects = ObjectStore(tmp_path / "s3")
    objects.create_bucket("bucket")
    for number in range(3):
        objects.put("bucket", f"in/{number}", BODY)
    monkeypatch.setattr(file_copies, "_by_range", counted)
    monkeypatch.setattr(file_copies, "_by_sendfile", counted)
    run = run_on(objects)
    await place(run, S3Input("s3://bucket/in/"), [tmp_path / "input"])
    assert sum(copied) == 3 * len(BODY)
    copied.clear()
    assert await outputs.upload_tree(run, [tmp_path / "input"], Location.parse("s3://bucket/out")) == 3
    assert sum(copied) == 3 * len(BODY)
    assert [found.key for found in objects.iter_objects("bucket", "out/")] == ["out/0", "out/1", "out/2"]
    objects.close()


async def test_files_go_up_several_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "SIDE_BY_SIDE", 2)
    together = threading.Barrier(2, timeout=60)
    keys = set()

    def put(bucket: str, key: str, path: Path) -> None:
        together.wait()  # breaks where one waits for another
        keys.add(key)

    for number in range(4):
        (tmp_path / str(number)).write_text("text")
    run = run_on(SimpleNamespace(put=put))
    assert await outputs.upload_tree(run, [tmp_path], Location.parse("s3://bucket/out")) == 4
    assert keys == {"out/0", "out/1", "out/2", "out/3"}


async def test_more_files_than_may_wait_all_go_up_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "UPLOADS_QUEUED", 2)
    order: list[str] = []
    monkeypatch.setattr(outputs, "SIDE_BY_SIDE", 1)
    run = run_on(SimpleNamespace(put=lambda bucket, key, path: order.append(key)))
    for number in range(5):
        (tmp_path / str(number)).write_text("text")
    assert await outputs.upload_tree(run, [tmp_path], Location.parse("s3://bucket/out")) == 5
    assert order == [f"out/{number}" for number in range(5)]
