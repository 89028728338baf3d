"""Copies by the kernel: all of a file, by whatever way there is."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local import file_copies
from sagemaker_local.s3.object_store import ObjectStore


def refuse(*arguments: Any) -> int:
    raise OSError(errno.EXDEV, "not between these")


def stop_short(*arguments: Any) -> int:
    return 0


@pytest.mark.parametrize(
    "broken",
    [{}, {"_by_range": refuse}, {"_by_range": refuse, "_by_sendfile": refuse}, {"_by_range": stop_short}],
)
def test_all_of_a_file_is_copied(tmp_path: Path, broken: dict[str, Any], monkeypatch: Any) -> None:
    for name, way in broken.items():
        monkeypatch.setattr(file_copies, name, way)
    monkeypatch.setattr(file_copies, "AT_ONCE_BYTES", 100_000)
    body = os.urandom(1_234_567)
    (tmp_path / "source").write_bytes(body)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        target.write(b"before ")
        target.flush()
        assert file_copies.copy_rest(source.fileno(), target.fileno()) == len(body)
    assert (tmp_path / "target").read_bytes() == b"before " + body


@pytest.mark.parametrize("size", [0, 1, 3_000_001])
def test_a_file_and_its_bytes_make_the_same_object(tmp_path: Path, size: int) -> None:
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket("bucket")
    body = os.urandom(size)
    (tmp_path / "file").write_bytes(body)
    by_file = store.put("bucket", "by-file", tmp_path / "file")
    by_bytes = store.put("bucket", "by-bytes", body)
    assert (by_file.etag, by_file.size) == (by_bytes.etag, by_bytes.size)
    store.download("bucket", "by-file", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == body
    store.close()


@pytest.fixture
def by_kernel(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes the kernel copied, call by call."""
    copied: list[int] = []

    def counted(way: Any) -> Any:
        def copy(source: int, target: int) -> int:
            count: int = way(source, target)
            copied.append(count)
            return count

        return copy

    for name in ("_by_range", "_by_sendfile"):
        monkeypatch.setattr(file_copies, name, counted(getattr(file_copies, name)))
    return copied


def test_no_byte_between_files_and_objects_passes_through_this_process(
    tmp_path: Path, by_kernel: list[int]
) -> None:
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket("bucket")
    body = os.urandom(2_000_000)
    (tmp_path / "file").write_bytes(body)
    store.put("bucket", "key", tmp_path / "file")
    assert sum(by_kernel) == len(body)
    by_kernel.clear()
    store.download("bucket", "key", tmp_path / "again")
    assert sum(by_kernel) == len(body)
    store.close()
