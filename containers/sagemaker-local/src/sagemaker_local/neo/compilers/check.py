"""Check a compiled model against its original on random rows, before anybody relies on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .request import CompilationError

Rows = NDArray[np.float32]
Predict = Callable[[Rows], NDArray[Any]]

ROWS_PER_KIND = 256
# Single precision inside the compiled model: relative to the largest answer, or absolute below 1.
TOLERANCE = 1e-4
# A row within rounding of a tree's threshold, or of the border between two labels, may fall on the other
# side.
ROWS_MAY_DIFFER = 0.005


def random_rows(features: int) -> Rows:
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


def compare(features: int, original: Predict, compiled: Predict, rows: Rows | None = None) -> dict[str, Any]:
    """Compare answers row by row.

    Returns:
        For the manifest: how many rows, how many beyond the tolerance, the largest difference of the others.

    Raises:
        CompilationError: too many rows differ, with the worst of them.
    """
    tried = random_rows(features) if rows is None else rows
    wanted, got = np.asarray(original(tried)), np.asarray(compiled(tried))
    got = got.reshape(wanted.shape) if got.size == wanted.size else got
    if wanted.shape != got.shape:
        raise CompilationError(
            f"the compiled model answers with shape {got.shape}, the original with {wanted.shape}"
        )
    if wanted.dtype.kind in "fiu":
        scale = max(1.0, float(np.abs(wanted).max()))
        apart = np.abs(wanted.astype(np.float64) - got.astype(np.float64)).reshape(len(tried), -1).max(axis=1)
        wrong = ~(apart <= TOLERANCE * scale)
    else:
        wrong = np.asarray(wanted != got).reshape(len(tried), -1).any(axis=1)
        apart = wrong.astype(np.float64)
    if wrong.mean() > ROWS_MAY_DIFFER:
        worst = int(np.argmax(np.where(wrong, np.nan_to_num(apart, nan=np.inf), -1)))
        raise CompilationError(
            f"the compiled model differs from the original on {int(wrong.sum())} of {len(tried)} random "
            "rows, "
            f"by {apart[worst]:.3g} at worst (original {wanted[worst].tolist()}, compiled "
            f"{got[worst].tolist()}): "
            "serve this model uncompiled"
        )
    agreeing = apart[~wrong]
    return {
        "rows": len(tried),
        "rows_that_differ": int(wrong.sum()),
        "max_abs_diff": float(agreeing.max()) if agreeing.size else 0.0,
    }


def compare_answers(wanted: Sequence[NDArray[Any]], got: Sequence[NDArray[Any]]) -> dict[str, Any]:
    """Compare all outputs of one call, value by value.

    Returns:
        For the manifest: how many values, and the largest difference.

    Raises:
        CompilationError: another number or shape of outputs, or a value beyond the tolerance.
    """
    shapes = [[list(np.shape(part)) for part in parts] for parts in (wanted, got)]
    if shapes[0] != shapes[1]:
        raise CompilationError(
            f"the compiled model answers with shapes {shapes[1]}, the original with {shapes[0]}"
        )
    largest = 0.0
    for number, (original, answer) in enumerate(zip(wanted, got, strict=True)):
        if not np.size(original):
            continue
        scale = max(1.0, float(np.abs(original).max()))
        apart = float(np.abs(np.asarray(original, np.float64) - np.asarray(answer, np.float64)).max())
        if not apart <= TOLERANCE * scale:
            raise CompilationError(
                f"the compiled model differs from the original by {apart:.3g} in output {number}: serve this "
                "model uncompiled"
            )
        largest = max(largest, apart)
    return {"values": int(sum(np.size(part) for part in wanted)), "max_abs_diff": largest}
