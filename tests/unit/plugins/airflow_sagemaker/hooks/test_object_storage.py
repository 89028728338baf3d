from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, IncompleteReadError

from airflow_sagemaker.errors import RequestRejectedError, UnreachableError
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


def test_copies_and_deletes(storage: ObjectStorageHook) -> None:
    storage.write_text("a", "x")
    assert storage.copy("a", "s3://data/b") == "s3://data/b"
    storage.delete("a")
    assert (storage.exists("a"), storage.exists("b")) == (False, True)


@pytest.mark.parametrize("call", ["exists", "read_bytes"])
def test_an_s3_that_does_not_answer_is_unreachable(
    storage: ObjectStorageHook, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    client = storage.sagemaker.client("s3")
    monkeypatch.setattr(client, "head_object", refuse)
    monkeypatch.setattr(client, "get_object", refuse)
    with pytest.raises(UnreachableError, match="Object s3://data/a: Could not connect"):
        getattr(storage, call)("a")


def test_a_body_that_breaks_off_is_unreachable(
    storage: ObjectStorageHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Body:
        def read(self) -> bytes:
            raise IncompleteReadError(actual_bytes=1, expected_bytes=2)

    monkeypatch.setattr(storage.sagemaker.client("s3"), "get_object", lambda **_: {"Body": Body()})
    with pytest.raises(UnreachableError, match="Object s3://data/a: 1 read, but total bytes expected is 2"):
        storage.read_bytes("a")
