"""What a raw row of the digits is: a label from 0 to 9 and 64 pixels, whole numbers from 0 to 16."""

from __future__ import annotations

from job import JobError
from partitions import Row

LABEL = "label"
FEATURES = tuple(f"pixel_{number}" for number in range(64))
COLUMNS = (LABEL, *FEATURES)
HIGHEST_LABEL = 9
HIGHEST_PIXEL = 16


def label(row: Row) -> str:
    """The digit."""
    return _whole(row, LABEL, HIGHEST_LABEL)


def features(row: Row) -> list[str]:
    """The pixels."""
    return [_whole(row, name, HIGHEST_PIXEL) for name in FEATURES]


def _whole(row: Row, name: str, highest: int) -> str:
    """The value in its shortest form; ``7`` and ``7.0`` are the same pixel."""
    text = row.values[name].strip()
    whole = text.removesuffix(".0")
    if not (whole.isascii() and whole.isdecimal() and int(whole) <= highest):
        raise JobError(f"{row.place}: {name}={text!r} must be a whole number from 0 to {highest}")
    return str(int(whole))
