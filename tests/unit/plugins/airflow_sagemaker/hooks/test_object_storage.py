from __future__ import annotations

from typing import Any

import pytest

from airflow_sagemaker.errors import RequestRejectedError
from airflow_sagemaker.hooks.object_storage import ObjectStorageHook


@pytest.fixture
def storage(s3: Any) -> ObjectStorageHook:
    return ObjectStorageHook()


def test_what_is_written_is_read(storage: ObjectStorageHook) -> None:
    assert storage.write_bytes("a/b", b"x") == "s3://data/a/b"
    assert storage.read_bytes("s3://data/a/b") == b"x"
    assert storage.read_text("a/b") == "x"


def test_the_same_document_is_the_same_bytes(storage: ObjectStorageHook) -> None:
    storage.write_json("one.json", {"b": 1, "a": [1, 2]})
    storage.write_json("two.json", {"a": [1, 2], "b": 1})
    assert storage.read_bytes("one.json") == storage.read_bytes("two.json")
    assert storage.read_json("one.json") == {"a": [1, 2], "b": 1}


def test_an_object_that_is_not_there(storage: ObjectStorageHook) -> None:
    assert not storage.exists("nowhere")
    with pytest.raises(RequestRejectedError, match="s3://data/nowhere: there is no such object"):
        storage.read_bytes("nowhere")
    storage.delete("nowhere")


def test_listing_is_by_prefix_and_in_order(storage: ObjectStorageHook) -> None:
    for name in ("many/b", "many/a/c", "manyfold", "other"):
        storage.write_text(name, "x")
    assert storage.list_uris("many/") == ["s3://data/many/a/c", "s3://data/many/b"]
    assert storage.list_uris("none/") == []


def test_copies_and_deletes(storage: ObjectStorageHook) -> None:
    storage.write_text("a", "x")
    assert storage.copy("a", "s3://data/b") == "s3://data/b"
    storage.delete("a")
    assert (storage.exists("a"), storage.exists("b")) == (False, True)
