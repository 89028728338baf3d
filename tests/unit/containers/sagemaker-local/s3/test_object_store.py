"""The store without HTTP: what the jobs and endpoints of the server use."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local.s3.errors import NoSuchBucket, NoSuchKey, PreconditionFailed
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.s3.records import ObjectAttributes

MIB = 1024 * 1024


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    opened = ObjectStore(tmp_path / "s3")
    opened.create_bucket("bucket")
    yield opened
    opened.close()


def blobs(directory: Path) -> list[Path]:
    return [path for path in (directory / "s3" / "blobs").rglob("*") if path.is_file()]


def test_every_kind_of_source(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"from a path")
    store.put("bucket", "bytes", b"from bytes", content_type="text/plain", metadata={"a": "b"})
    store.put("bucket", "path", tmp_path / "file")
    store.put("bucket", "file", io.BytesIO(b"from a file"))
    contents = {info.key: store.open("bucket", info.key).read() for info in store.iter_objects("bucket")}
    assert contents == {"bytes": b"from bytes", "path": b"from a path", "file": b"from a file"}
    info = store.head("bucket", "bytes")
    assert (info.content_type, info.metadata, info.size) == ("text/plain", {"a": "b"}, 10)


def test_an_object_downloads_whole(store: ObjectStore, tmp_path: Path) -> None:
    body = os.urandom(3 * MIB)
    store.put("bucket", "k", body)
    target = tmp_path / "deep" / "er" / "file"
    assert store.download("bucket", "k", target).size == len(body)
    assert target.read_bytes() == body
    assert list(target.parent.iterdir()) == [target]


def test_an_open_object_is_a_file(store: ObjectStore) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("member")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    store.put("bucket", "model.tar.gz", archive.getvalue())
    with store.open("bucket", "model.tar.gz") as file, tarfile.open(fileobj=file) as tar:
        extracted = tar.extractfile("member")
        assert extracted is not None
        assert extracted.read() == b"hello"
    store.put("bucket", "lines", b"one\ntwo\nthree\n")
    with store.open("bucket", "lines", 4, 8) as file:
        assert list(file) == [b"two\n", b"thre"]
        file.seek(1)
        assert (file.read(2), file.tell()) == (b"wo", 3)


@pytest.mark.parametrize("span", [(0, None), (0, 7), (3, 4), (4, 1), (2, 20), (9, 0), (99, 5)])
def test_ranges_cross_parts(store: ObjectStore, span: tuple[int, int | None]) -> None:
    upload = store.uploads.create("bucket", "k", ObjectAttributes())
    writers: list[Any] = []
    for number, body in enumerate((b"01234" * MIB, b"", b"abcd"), 1):
        writer = store.writer()
        writer.feed(body)
        blob = writer.finish()
        store.uploads.put_part("bucket", "k", upload.upload_id, number, blob)
        writers.append((number, blob.md5, {}))
    body = b"01234" * MIB + b"abcd"
    store.complete_upload("bucket", "k", upload.upload_id, [writers[0], writers[2]])
    start, length = span
    start += 5 * MIB - 4
    with store.open("bucket", "k", start, length) as file:
        assert file.read() == body[start : None if length is None else start + length]


def test_conditions(store: ObjectStore) -> None:
    first = store.put("bucket", "k", b"1", if_none_match=True)
    with pytest.raises(PreconditionFailed):
        store.put("bucket", "k", b"2", if_none_match=True)
    with pytest.raises(PreconditionFailed):
        store.put("bucket", "k", b"2", if_match="other")
    with pytest.raises(NoSuchKey):
        store.put("bucket", "absent", b"2", if_match=first.etag)
    store.put("bucket", "k", b"2", if_match=first.etag)
    assert store.open("bucket", "k").read() == b"2"


def test_only_one_of_many_creates(store: ObjectStore) -> None:
    created, barrier = [], threading.Barrier(8)

    def create(number: int) -> None:
        barrier.wait()
        try:
            store.put("bucket", "k", str(number).encode(), if_none_match=True)
        except PreconditionFailed:
            return
        created.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(created) == 1
    assert store.open("bucket", "k").read() == str(created[0]).encode()


def test_what_is_not_there(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(NoSuchBucket):
        store.put("absent", "k", b"")
    with pytest.raises(NoSuchBucket):
        list(store.iter_objects("absent"))
    for missing in (lambda: store.head("bucket", "k"), lambda: store.open("bucket", "k")):
        with pytest.raises(NoSuchKey):
            missing()
    with pytest.raises(NoSuchKey):
        store.download("bucket", "k", tmp_path / "file")
    store.delete("bucket", "k")
    assert not store.bucket_exists("absent")
    assert not (tmp_path / "file").exists()


def test_no_write_leaves_a_blob_behind(store: ObjectStore, tmp_path: Path) -> None:
    store.put("bucket", "k", b"1")
    store.put("bucket", "k", b"2")
    store.copy("bucket", "k", "bucket", "copy")
    assert len(blobs(tmp_path)) == 2
    with pytest.raises(PreconditionFailed):
        store.put("bucket", "k", b"3", if_none_match=True)
    with pytest.raises(NoSuchBucket):
        store.copy("bucket", "k", "absent", "k")
    store.delete("bucket", "k")
    assert store.open("bucket", "copy").read() == b"2"
    store.delete("bucket", "copy")
    assert blobs(tmp_path) == []


def test_a_source_that_breaks_leaves_the_old_object(store: ObjectStore, tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 2 * MIB:
                raise OSError("the disk went away")
            return super().read(size)

    store.put("bucket", "k", b"old")
    with pytest.raises(OSError, match="went away"):
        store.put("bucket", "k", Broken(b"x" * 3 * MIB))
    assert store.open("bucket", "k").read() == b"old"
    assert len(blobs(tmp_path)) == 1
    assert list((tmp_path / "s3" / "tmp").iterdir()) == []


def test_a_store_opened_again_has_everything_and_no_orphans(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket("bucket")
    store.put("bucket", "k", b"kept", metadata={"a": "ü"})
    orphan = store.writer()
    orphan.feed(b"finished, never named")
    orphan.finish()
    unfinished = store.writer()
    unfinished.feed(b"half")
    unfinished.flush()
    assert len(blobs(tmp_path)) == 2
    store.close()
    again = ObjectStore(tmp_path / "s3")
    assert [info.key for info in again.iter_objects("bucket")] == ["k"]
    assert again.open("bucket", "k").read() == b"kept"
    assert again.head("bucket", "k").metadata == {"a": "ü"}
    assert len(blobs(tmp_path)) == 1
    assert list((tmp_path / "s3" / "tmp").iterdir()) == []
    again.close()


def test_two_stores_never_share_a_directory(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="in use by another server"):
        ObjectStore(tmp_path / "s3")


def test_readers_and_writers_at_once_see_whole_objects(store: ObjectStore) -> None:
    bodies = [bytes([number]) * (200_000 + number) for number in range(20)]
    store.put("bucket", "k", bodies[0])
    seen: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            with store.open("bucket", "k") as file:
                seen.append(file.read())

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for body in bodies:
        store.put("bucket", "k", body)
    done.set()
    for reader in readers:
        reader.join()
    assert seen
    assert set(seen) <= set(bodies)
