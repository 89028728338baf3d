"""Listings against a model: sort, filter, roll up, cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sagemaker_local.database import Database
from sagemaker_local.s3 import index
from sagemaker_local.s3.listing import Page, list_page, successor
from sagemaker_local.s3.records import BucketInfo, ObjectAttributes, ObjectInfo, utc_now

# Few characters, so that prefixes and delimiters meet; the last ones are at the ends of UTF-8's order.
TEXT = st.text(alphabet="ab/-é\ud7ff\ue000\U0010ffff", max_size=6)
KEYS = st.sets(TEXT.filter(bool), max_size=25)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "index.sqlite3", index.SCHEMA)
    yield opened
    opened.close()


def model(keys: set[str], prefix: str, delimiter: str) -> list[str]:
    """Every line of the whole listing, in order of UTF-8."""
    lines = set()
    for key in keys:
        if key.startswith(prefix):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            lines.add(key if at < 0 else key[: at + len(delimiter)])
    return sorted(lines, key=str.encode)


def lines_of(page: Page) -> list[str]:
    return sorted([info.key for info in page.objects] + page.common_prefixes, key=str.encode)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    keys=KEYS,
    prefix=TEXT,
    delimiter=st.sampled_from(["", "/", "-", "a/", "\U0010ffff"]),
    max_keys=st.integers(1, 5),
)
def test_pages_add_up_to_the_model(
    database: Database, keys: set[str], prefix: str, delimiter: str, max_keys: int
) -> None:
    with database.writing() as connection:
        connection.execute("DELETE FROM object")
        connection.execute("DELETE FROM bucket")
        index.insert_bucket(connection, BucketInfo("b", "us-east-1", utc_now()))
        for key in keys:
            info = ObjectInfo("b", key, 0, "", utc_now(), ObjectAttributes(), {}, "FULL_OBJECT", ())
            index.put_object(connection, info)
    pages: list[Page] = []
    with database.reading() as connection:
        after = ""
        while not pages or pages[-1].truncated:
            pages.append(
                list_page(connection, "b", prefix=prefix, delimiter=delimiter, after=after, max_keys=max_keys)
            )
            after = pages[-1].last
            assert len(pages) <= len(keys) + 1
    assert [line for page in pages for line in lines_of(page)] == model(keys, prefix, delimiter)
    assert all(page.count == max_keys for page in pages[:-1])
    for page in pages:
        assert all(key.endswith(delimiter) for key in page.common_prefixes)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(keys=KEYS, after=TEXT)
def test_start_after_any_text(database: Database, keys: set[str], after: str) -> None:
    with database.writing() as connection:
        connection.execute("DELETE FROM object")
        for key in keys:
            info = ObjectInfo("b", key, 0, "", utc_now(), ObjectAttributes(), {}, "FULL_OBJECT", ())
            index.put_object(connection, info)
    with database.reading() as connection:
        page = list_page(connection, "b", prefix="", delimiter="", after=after, max_keys=1000)
    expected = [key for key in model(keys, "", "") if key.encode() > after.encode()]
    assert [info.key for info in page.objects] == expected


@given(prefix=TEXT, tail=TEXT, other=TEXT)
def test_the_successor_is_the_first_text_after_a_prefix(prefix: str, tail: str, other: str) -> None:
    after = successor(prefix)
    if after is None:
        assert set(prefix) <= {"\U0010ffff"}
        return
    assert (prefix + tail).encode() < after.encode()
    if prefix.encode() <= other.encode() < after.encode():
        assert other.startswith(prefix)
