"""Rows of numbers in CSV: the one format that training, serving and checking share."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

# Plain decimal notation: no nan, no infinity, no digit separators, no hexadecimal.
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


class RowError(ValueError):
    """A row is not what the model takes; the text names the row (from 1) and the value."""


def parse(body: bytes, width: int) -> Rows:
    """Read rows of exactly ``width`` finite numbers, without a header.

    Raises:
        RowError: naming the first row that is anything else.
    """
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError as error:
        row = body.count(b"\n", 0, error.start) + 1
        raise RowError(f"row {row}: byte 0x{body[error.start]:02x} is not part of a number") from None
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise RowError(f"there are no rows; send lines of {width} numbers separated by commas")
    if not any(map(str.strip, lines)):  # loadtxt warns of such a body on every request
        raise RowError(_complaint(lines, width))
    try:
        rows = np.loadtxt(lines, delimiter=",", comments=None, ndmin=2)
    except ValueError:
        raise RowError(_complaint(lines, width)) from None
    if rows.shape != (len(lines), width) or not np.isfinite(rows).all():
        raise RowError(_complaint(lines, width))
    return rows


def _complaint(lines: list[str], width: int) -> str:
    """What is wrong with the first bad row; only called once something is."""
    for number, line in enumerate(lines, start=1):
        fields = line.split(",") if line.strip() else []
        if len(fields) != width:
            return f"row {number} has {len(fields)} values, the model takes {width}"
        for column, field in enumerate(fields, start=1):
            if NUMBER.fullmatch(field) is None or not np.isfinite(float(field)):
                return f"row {number}, value {column}: {field[:40]!r} is not a finite number"
    return "the rows are not numbers separated by commas"


def read_labelled(directory: Path) -> tuple[NDArray[np.int64], Rows]:
    """Labels (first column) and features of every ``*.csv`` in a channel, in order of file names."""
    files = sorted(directory.glob("*.csv"))
    if not files:
        raise RowError(f"{directory}: no *.csv files; check the channel's S3Uri")
    tables = []
    for path in files:
        body = path.read_bytes()
        try:
            tables.append(parse(body, body.split(b"\n", 1)[0].count(b",") + 1))
        except RowError as error:
            raise RowError(f"{path}: {error}") from None
        if tables[-1].shape[1] != tables[0].shape[1]:
            raise RowError(f"{path} has {tables[-1].shape[1]} columns, {files[0]} has {tables[0].shape[1]}")
    table = np.concatenate(tables)
    labels = table[:, 0].astype(np.int64)
    if (labels != table[:, 0]).any():
        row = int(np.flatnonzero(labels != table[:, 0])[0]) + 1
        raise RowError(f"{directory}: label {table[row - 1, 0]} of row {row} is not a whole number")
    return labels, table[:, 1:]
