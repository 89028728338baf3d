"""Check a compiled model against its original on random rows, before anybody relies on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .request import CompilationError

Rows = NDArray[np.floating[Any]]
Predict = Callable[[Any], NDArray[Any]]
Answers = Sequence[NDArray[Any]]

ROWS_PER_KIND = 256
# Single precision inside the compiled model: relative to the largest answer, or absolute below 1.
TOLERANCE = 1e-4
# A row within rounding of a tree's threshold, or of the border between two labels, may fall on the other
# side.
ROWS_MAY_DIFFER = 0.005


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far apart two answers may be.

    Attributes:
        relative: Difference over the largest answer of the sample, or plain where that is below 1.
        rows: Share of the rows that may be further apart.
    """

    relative: float = TOLERANCE
    rows: float = ROWS_MAY_DIFFER


def random_rows(features: int) -> NDArray[np.float32]:
    """Rows of several scales and kinds, as the shape says nothing about ranges; the same ones every time."""
    generator = np.random.default_rng(0)
    size = (ROWS_PER_KIND, features)
    kinds = (
        generator.uniform(0, 1, size),
        generator.normal(0, 1, size),
        generator.integers(0, 17, size),
        generator.normal(0, 100, size),
        np.zeros((1, features)),
    )
    return np.concatenate(kinds).astype(np.float32)


def rows(features: int, count: int) -> NDArray[np.float32]:
    """As many of the random rows, over and over where there are not enough."""
    return np.resize(random_rows(features), (count, features))


def compare(
    wanted: Answers, got: Answers, tolerance: Tolerance = Tolerance(), what: str = "random"
) -> dict[str, Any]:
    """Compare the answers to a sample, output by output and row by row.

    Args:
        wanted: The original's outputs, each with a line a row.
        got: The compiled model's, in the same order.
        tolerance: What may differ.
        what: The sample, for the words of the error.

    Returns:
        For the manifest: how many rows, how many beyond the tolerance, the largest difference of the others.

    Raises:
        CompilationError: other shapes, or too many rows that differ, with the worst of them.
    """
    pairs = [_of_a_shape(np.asarray(one), np.asarray(other)) for one, other in zip(wanted, got, strict=True)]
    rows = max((len(one) if one.ndim else 1 for one, _ in pairs), default=0)
    worst, differ = 0.0, 0
    for number, (one, other) in enumerate(pairs):
        apart, wrong = _apart(one, other, tolerance)
        differ = max(differ, int(wrong.sum()))
        if wrong.sum() > tolerance.rows * len(wrong):
            at = int(np.argmax(np.where(wrong, np.nan_to_num(apart, nan=np.inf), -1)))
            output = f" in output {number}" if len(pairs) > 1 else ""
            raise CompilationError(
                f"the compiled model differs from the original{output} on {int(wrong.sum())} of {len(wrong)} "
                f"{what} rows, by {apart[at]:.3g} at worst (original {_shortly(one, at)}, compiled "
                f"{_shortly(other, at)}): serve this model uncompiled"
            )
        agreeing = apart[~wrong]
        worst = max(worst, float(agreeing.max()) if agreeing.size else 0.0)
    return {"rows": rows, "rows_that_differ": differ, "max_abs_diff": worst}


def _of_a_shape(wanted: NDArray[Any], got: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both with the original's shape; one number a row may be a column or not."""
    if wanted.shape != got.shape and wanted.size == got.size and wanted.shape[:1] == got.shape[:1]:
        got = got.reshape(wanted.shape)
    if wanted.shape != got.shape:
        raise CompilationError(
            f"the compiled model answers with shape {got.shape}, the original with {wanted.shape}"
        )
    return wanted, got


def _apart(
    wanted: NDArray[Any], got: NDArray[Any], tolerance: Tolerance
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How far each row is off, and whether by too much."""
    rows = len(wanted) if wanted.ndim else 1
    if not wanted.size:
        return np.zeros(rows), np.zeros(rows, bool)
    if wanted.dtype.kind not in "fiu":
        others = np.array([row.any() for row in np.asarray(wanted != got).reshape(rows, -1)], bool)
        return others.astype(np.float64), others
    with np.errstate(invalid="ignore"):
        difference = np.abs(wanted.astype(np.float64) - got.astype(np.float64))
    # Equal infinities, and a value that is missing in both answers, are no difference.
    alike = (wanted == got) | (np.isnan(wanted) & np.isnan(got))
    apart = np.asarray(np.where(alike, 0.0, difference).reshape(rows, -1).max(axis=1))
    finite = np.abs(wanted[np.isfinite(wanted)]).astype(np.float64)
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    return apart, np.asarray(np.logical_not(apart <= tolerance.relative * scale))


def _shortly(answers: NDArray[Any], at: int) -> str:
    text = str(answers[at].tolist() if answers.ndim else answers.tolist())
    return text if len(text) <= 200 else f"{text[:200]}…"
