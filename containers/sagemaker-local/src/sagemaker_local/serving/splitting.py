"""How batch transform cuts an object into payloads and puts the answers together again.

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
        whole = _read(stream, max_payload_bytes)
        if whole:
            yield whole
        return
    batch = bytearray()
    while record := stream.readline(max_payload_bytes + 1):
        if len(record) > max_payload_bytes:
            raise RecordTooLarge(max_payload_bytes)
        if batch and (not many_records or len(batch) + len(record) > max_payload_bytes):
            yield bytes(batch)
            batch.clear()
        batch += record
    if batch:
        yield bytes(batch)


def assembled(answer: bytes, *, by_line: bool) -> bytes:
    """One payload's answer as it goes into the output object: AssembleWith Line ends it with a line end."""
    return answer if not by_line or answer.endswith(b"\n") else answer + b"\n"


def _read(stream: BinaryIO, max_payload_bytes: int) -> bytes:
    parts = bytearray()
    while part := stream.read(min(1 << 20, max_payload_bytes + 1 - len(parts))):
        parts += part
        if len(parts) > max_payload_bytes:
            raise RecordTooLarge(max_payload_bytes)
    return bytes(parts)
