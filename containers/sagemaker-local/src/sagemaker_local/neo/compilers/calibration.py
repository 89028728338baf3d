"""The calibration sample of a model: rows of its own kind that original and compiled are compared on.

It lies in model.tar.gz, beside the model, as ``calibration.csv`` (plain numbers without a header; an empty
field is a missing value), ``calibration.npy`` (one array) or ``calibration.npz`` (arrays by input name).
CreateCompilationJob has no field for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .request import CompilationError

NAMES = ("calibration.csv", "calibration.npy", "calibration.npz")
ROWS_AT_MOST = 4096
UNNAMED = ""

Sample = tuple[str, Mapping[str, Any]]


def find(directory: Path) -> Sample | None:
    """The sample of an unpacked model artefact: file name, and arrays by input name.

    Raises:
        CompilationError: there are several, or it cannot be read.
    """
    found = sorted(path for path in directory.rglob("calibration.*") if path.name in NAMES)
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(directory)) for path in found)
        raise CompilationError(f"the model artefact holds several calibration samples ({names}); keep one")
    (path,) = found
    try:
        arrays = _read(path)
    except (ValueError, OSError, EOFError) as error:
        raise CompilationError(
            f"{path.name} cannot be read ({error}); write lines of numbers separated by commas without a "
            "header, or an array by numpy.save"
        ) from error
    for array in arrays.values():
        if not array.ndim or not len(array) or array.dtype.kind not in "fiub":
            raise CompilationError(
                f"{path.name} holds an array of {array.dtype} with shape {array.shape}, need rows of numbers"
            )
    return path.name, {name: array[:ROWS_AT_MOST] for name, array in arrays.items()}


def rows(sample: Mapping[str, Any], features: int) -> Any:
    """The sample of a framework of rows.

    Raises:
        CompilationError: it has another width than the model.
    """
    (array,) = list(sample.values())[:1]
    table = np.asarray(array).reshape(len(array), -1)
    if len(sample) != 1 or table.shape[1] != features:
        raise CompilationError(
            f"the calibration sample has {table.shape[1]} columns, the model takes {features} features; "
            "leave labels out"
        )
    return table


def _read(path: Path) -> dict[str, Any]:
    if path.suffix == ".csv":
        lines = path.read_text().splitlines()[:ROWS_AT_MOST]
        fields = [[float(field or "nan") for field in map(str.strip, line.split(","))] for line in lines]
        if len({len(row) for row in fields}) != 1:
            raise ValueError("its lines have different numbers of fields")
        return {UNNAMED: np.array(fields)}
    loaded = np.load(path, allow_pickle=False)
    return dict(loaded) if path.suffix == ".npz" else {UNNAMED: loaded}
