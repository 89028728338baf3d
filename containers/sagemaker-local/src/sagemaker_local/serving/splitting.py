"""How batch transform cuts an object into payloads.

Payloads are exact slices of the object: a line keeps its line end, and blank lines are records too, so that
row n of the output belongs to row n of the input.
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO


class RecordTooLarge(Exception):
    """One record (or the whole object, when it is not split) is more than a payload may hold."""

    def __init__(self, max_payload_bytes: int) -> None:
        super().__init__(
            f"a record is larger than MaxPayloadInMB allows ({max_payload_bytes} bytes); "
            "raise it or make records smaller"
        )


def payloads(
    stream: BinaryIO, *, by_line: bool, many_records: bool, max_payload_bytes: int
) -> Iterator[bytes]:
    """Cut a stream into payloads; none is ever more than ``max_payload_bytes`` in memory.

    Args:
        stream: The object, decompressed.
        by_line: SplitType Line; else the object is one record.
        many_records: BatchStrategy MultiRecord: as many lines as fit; else one line each.
        max_payload_bytes: At least 1.

    Raises:
        RecordTooLarge: a record does not fit.
    """
    if not by_line:
        yield from _whole(stream, max_payload_bytes)
    elif many_records:
        yield from _batches(stream, max_payload_bytes)
    else:
        yield from _lines(stream, max_payload_bytes)


def _whole(stream: BinaryIO, most: int) -> Iterator[bytes]:
    whole = stream.read(most)
    if stream.read(1):
        raise RecordTooLarge(most)
    if whole:
        yield whole


def _lines(stream: BinaryIO, most: int) -> Iterator[bytes]:
    while line := stream.readline(most + 1):
        if len(line) > most:
            raise RecordTooLarge(most)
        yield line


def _batches(stream: BinaryIO, most: int) -> Iterator[bytes]:
    """Blocks as large as they may be, each cut at its last line end; line by line would cost a call a row."""
    rest = b""
    while block := rest + stream.read(most - len(rest)):
        following = stream.read(1) if len(block) == most else b""
        if not following:  # the end of the object, with or without a line end
            yield block
            return
        end = block.rfind(b"\n") + 1
        if end == 0:
            raise RecordTooLarge(most)
        yield block[:end]
        rest = block[end:] + following
