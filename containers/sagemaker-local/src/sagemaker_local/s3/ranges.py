"""The Range header: one range of bytes, as S3 takes it."""

from __future__ import annotations

import re

from sagemaker_local.s3.errors import InvalidRange
from sagemaker_local.s3.numbers import MAXIMUM_DIGITS

RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and length of the range; None for the whole object, also when the header cannot be read.

    Raises:
        InvalidRange: it lies outside the object.
    """
    match = RANGE.fullmatch(header.strip()) if header else None
    if header is None or match is None or match.groups() == ("", ""):
        return None
    first, last = (text.lstrip("0")[:MAXIMUM_DIGITS] or text[:1] for text in match.groups())
    if not first:
        length = min(int(last), size)
        start = size - length
    else:
        start = int(first)
        if last and int(last) < start:
            return None
        length = (min(int(last), size - 1) if last else size - 1) - start + 1
    if length <= 0 or start >= size:
        raise InvalidRange(header, size)
    return start, length
