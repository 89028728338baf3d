"""Tables behind an S3 that fails; what they hold is tested with the operators that read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, IncompleteReadError

from airflow_sagemaker.errors import UnreachableError
from airflow_sagemaker.hooks.object_storage import ObjectStorageHook
from airflow_sagemaker.hooks.tables import TableHook


@pytest.fixture
def tables(s3: Any) -> TableHook:
    return TableHook(ObjectStorageHook())


def refuse(*_: Any, **__: Any) -> None:
    raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")


def test_an_s3_that_does_not_answer_is_unreachable(
    tables: TableHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tables.storage.sagemaker.client("s3")
    monkeypatch.setattr(client, "_make_api_call", refuse)
    with pytest.raises(UnreachableError, match="Listing s3://data/raw/: Could not connect"):
        tables.objects("raw/")
    with pytest.raises(UnreachableError, match=r"Table s3://data/raw/a\.csv: Could not connect"):
        tables.content("raw/a.csv")


def test_a_table_that_breaks_off_is_unreachable(tables: TableHook, monkeypatch: pytest.MonkeyPatch) -> None:
    class Body:
        def iter_chunks(self, _: int) -> Iterator[bytes]:
            yield b"1"
            raise IncompleteReadError(actual_bytes=1, expected_bytes=2)

    monkeypatch.setattr(tables.storage.sagemaker.client("s3"), "get_object", lambda **_: {"Body": Body()})
    with pytest.raises(UnreachableError, match="1 read, but total bytes expected is 2"):
        tables.content("raw/a.csv")
