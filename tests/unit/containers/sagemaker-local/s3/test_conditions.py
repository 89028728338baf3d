from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from sagemaker_local.s3.conditions import NotModified, check_copy_source, check_read, write_condition
from sagemaker_local.s3.errors import NotImplementedHere, PreconditionFailed
from sagemaker_local.s3.records import ObjectAttributes, ObjectInfo, WriteCondition

WHEN = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
BEFORE, AT, AFTER = (f"Mon, 01 Jun 2026 {time} GMT" for time in ("11:59:59", "12:00:00", "12:00:01"))
INFO = ObjectInfo("b", "k", 1, "etag", WHEN, ObjectAttributes(), {}, "FULL_OBJECT", ())


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({}, None),
        ({"if-match": '"etag"'}, None),
        ({"if-match": "etag"}, None),
        ({"if-match": "*"}, None),
        ({"if-match": '"a", "etag"'}, None),
        ({"if-match": '"a"'}, PreconditionFailed),
        ({"if-unmodified-since": AT}, None),
        ({"if-unmodified-since": BEFORE}, PreconditionFailed),
        ({"if-match": '"etag"', "if-unmodified-since": BEFORE}, None),
        ({"if-none-match": '"etag"'}, NotModified),
        ({"if-none-match": 'W/"etag"'}, NotModified),
        ({"if-none-match": '"a"'}, None),
        ({"if-modified-since": AT}, NotModified),
        ({"if-modified-since": AFTER}, NotModified),
        ({"if-modified-since": BEFORE}, None),
        ({"if-none-match": '"a"', "if-modified-since": AFTER}, None),
        ({"if-modified-since": "not a date"}, None),
    ],
)
def test_reads(headers: Mapping[str, str], outcome: type[Exception] | None) -> None:
    if outcome is None:
        check_read(INFO, headers)
        return
    with pytest.raises(outcome):
        check_read(INFO, headers)


@pytest.mark.parametrize(
    "header", [("if-match", '"a"'), ("if-none-match", '"etag"'), ("if-modified-since", AT)]
)
def test_sources_of_copies_know_no_304(header: tuple[str, str]) -> None:
    with pytest.raises(PreconditionFailed):
        check_copy_source(INFO, {f"x-amz-copy-source-{header[0]}": header[1]})
    check_copy_source(INFO, dict([header]))  # that is a condition on the target


def test_writes() -> None:
    assert write_condition({}) == WriteCondition()
    assert write_condition({"if-none-match": "*"}) == WriteCondition(if_none_match=True)
    assert write_condition({"if-match": '"etag"'}) == WriteCondition(if_match="etag")
    with pytest.raises(NotImplementedHere):
        write_condition({"if-none-match": '"etag"'})
