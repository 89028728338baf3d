from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.s3.chunked import MAXIMUM_LINE_BYTES, ChunkedDecoder
from sagemaker_local.s3.errors import IncompleteBody, InvalidRequest


def encode(chunks: list[bytes], trailers: bytes = b"x-amz-checksum-crc32:AAAAAA==\r\n") -> bytes:
    body = b"".join(b"%X;chunk-signature=ab\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return body + b"0;chunk-signature=ab\r\n" + trailers + b"\r\n"


@given(chunks=st.lists(st.binary(max_size=60), max_size=6), cuts=st.lists(st.integers(0, 500), max_size=8))
def test_however_it_arrives_the_payload_is_the_same(chunks: list[bytes], cuts: list[int]) -> None:
    body = encode(chunks)
    decoder = ChunkedDecoder()
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    payload = b"".join(decoder.feed(body[start:end]) for start, end in pairwise(edges))
    decoder.finish()
    assert payload == b"".join(chunks)
    assert decoder.trailers == {"x-amz-checksum-crc32": "AAAAAA=="}


def test_the_last_blank_line_may_be_missing() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"1\r\nx\r\n0\r\n") == b"x"
    decoder.finish()


@pytest.mark.parametrize("cut", [1, 3, 10, 30])
def test_a_body_that_ends_early_is_incomplete(cut: int) -> None:
    decoder = ChunkedDecoder()
    decoder.feed(encode([b"hello world, hello world"], trailers=b"")[:cut])
    with pytest.raises(IncompleteBody):
        decoder.finish()


@pytest.mark.parametrize("body", [b"hello\r\n", b"-1\r\nx", b"2\r\nabc\r\n", b"1" * (MAXIMUM_LINE_BYTES + 1)])
def test_what_is_no_chunk_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        ChunkedDecoder().feed(body)
