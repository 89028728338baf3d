"""Rows of numbers in CSV, as the model server reads them: what training and checking share with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_serving.csv_rows import RowError, Rows, parse

__all__ = ["RowError", "Rows", "read_labelled"]


def read_labelled(directory: Path) -> tuple[NDArray[np.int64], Rows]:
    """Labels (first column) and features of every ``*.csv`` in a channel, in order of file names."""
    files = sorted(directory.glob("*.csv"))
    if not files:
        raise RowError(f"{directory}: no *.csv files; check the channel's S3Uri")
    tables = []
    for path in files:
        try:
            tables.append(parse(path.read_bytes()))
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
