"""Objects as files without a copy, for FastFile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local.s3.errors import NoSuchKey
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.s3.records import ObjectAttributes

PART = 5 * 1024 * 1024


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    opened = ObjectStore(tmp_path / "s3")
    opened.create_bucket("bucket")
    yield opened
    opened.close()


def test_a_link_is_the_stored_blob_and_outlives_its_object(store, tmp_path):
    store.put("bucket", "key", b"first")
    linked = tmp_path / "linked"
    store.link("bucket", "key", linked)
    assert linked.stat().st_nlink == 2
    store.put("bucket", "key", b"second")
    store.delete("bucket", "key")
    assert linked.read_bytes() == b"first"
    assert linked.stat().st_nlink == 1


def test_an_object_of_several_parts_is_copied(store, tmp_path):
    upload = store.uploads.create("bucket", "key", ObjectAttributes())
    parts: list[Any] = []
    for number, body in enumerate((b"a" * PART, b"b"), start=1):
        writer = store.writer()
        writer.feed(body)
        blob = writer.finish()
        store.uploads.put_part("bucket", "key", upload.upload_id, number, blob)
        parts.append((number, blob.md5, {}))
    store.complete_upload("bucket", "key", upload.upload_id, parts)
    linked = tmp_path / "linked"
    store.link("bucket", "key", linked)
    assert linked.read_bytes() == b"a" * PART + b"b"
    assert linked.stat().st_nlink == 1


def test_what_is_there_is_not_replaced(store, tmp_path):
    store.put("bucket", "key", b"text")
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileExistsError):
        store.link("bucket", "key", tmp_path / "taken")


def test_what_is_not_there_cannot_be_linked(store, tmp_path):
    with pytest.raises(NoSuchKey):
        store.link("bucket", "nothing", tmp_path / "linked")
