"""Cutting: whatever is in an object, its rows come out once and in order."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.serving.splitting import RecordTooLarge, payloads

LIMIT = 12
ROWS = st.lists(st.binary(max_size=LIMIT - 1).map(lambda row: row.replace(b"\n", b",")))


def cut(body: bytes, *, many_records: bool = True, by_line: bool = True, limit: int = LIMIT) -> list[bytes]:
    return list(
        payloads(io.BytesIO(body), by_line=by_line, many_records=many_records, max_payload_bytes=limit)
    )


def object_of(rows: list[bytes], last_line_end: bool) -> bytes:
    return b"\n".join(rows) + (b"\n" if rows and last_line_end else b"")


@given(ROWS, st.booleans(), st.booleans())
def test_payloads_are_the_object_in_whole_lines(rows: list[bytes], end: bool, many: bool) -> None:
    body = object_of(rows, end)
    parts = cut(body, many_records=many)
    assert b"".join(parts) == body
    assert all(0 < len(part) <= LIMIT for part in parts)
    assert all(part.endswith(b"\n") for part in parts[:-1])
    if not many:
        assert all(part.count(b"\n") <= 1 for part in parts)


@given(ROWS, st.booleans())
def test_many_records_are_as_many_as_fit(rows: list[bytes], end: bool) -> None:
    parts = cut(object_of(rows, end))
    for part, following in pairwise(parts):
        next_record = following[: following.find(b"\n") + 1] or following
        assert len(part) + len(next_record) > LIMIT


@given(st.binary(max_size=LIMIT), st.booleans())
def test_an_unsplit_object_is_one_payload(body: bytes, many: bool) -> None:
    assert cut(body, by_line=False, many_records=many) == ([body] if body else [])


@pytest.mark.parametrize("by_line", [True, False])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_what_does_not_fit_is_refused_at_one_byte_more(by_line: bool, end: bytes) -> None:
    fits = b"x" * (LIMIT - len(end)) + end
    assert cut(fits, by_line=by_line) == [fits]
    with pytest.raises(RecordTooLarge, match="larger than MaxPayloadInMB"):
        cut(b"x" + fits, by_line=by_line)


def test_a_long_object_is_read_as_it_is_sent() -> None:
    stream = io.BytesIO(b"12345\n" * 1000)
    next(payloads(stream, by_line=True, many_records=True, max_payload_bytes=LIMIT))
    assert stream.tell() <= 3 * LIMIT
