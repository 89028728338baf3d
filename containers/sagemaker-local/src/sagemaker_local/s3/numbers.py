"""Whole numbers in headers and queries, where anything may stand."""

from __future__ import annotations

MAXIMUM_DIGITS = 19
"""As many as the largest signed 64-bit number has; Python refuses to read a few thousand."""


def whole_number(text: str) -> int | None:
    """The number, or None when the text is none that S3 could mean."""
    if not text.isascii() or not text.isdigit() or len(text) > MAXIMUM_DIGITS:
        return None
    return int(text)
