"""The check of a compiled model against its original."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sagemaker_local.neo.compilers import check
from sagemaker_local.neo.compilers.request import CompilationError


def original(rows: check.Rows) -> NDArray[Any]:
    answers: NDArray[Any] = np.tanh(rows.sum(axis=1))
    return answers


def off_at(count: int, by: float) -> check.Predict:
    def predict(rows: check.Rows) -> NDArray[Any]:
        answers = original(rows).copy()
        answers[:count] += by
        return answers

    return predict


def test_rounding_passes_and_is_reported() -> None:
    found = check.compare(4, original, off_at(10_000, 1e-6))
    assert found["rows_that_differ"] == 0
    assert found["max_abs_diff"] == pytest.approx(1e-6, rel=0.1)


def test_a_row_on_a_border_passes_and_is_counted() -> None:
    assert check.compare(4, original, off_at(2, 0.5))["rows_that_differ"] == 2


@pytest.mark.parametrize("by", [1e-3, np.nan, np.inf])
def test_a_wrong_model_is_refused(by: float) -> None:
    with pytest.raises(CompilationError, match="differs from the original on 100 of 1025 random rows"):
        check.compare(4, original, off_at(100, by))


def test_another_shape_is_refused() -> None:
    with pytest.raises(CompilationError, match=r"answers with shape \(1025, 2\)"):
        check.compare(4, original, lambda rows: rows[:, :2])


def test_labels_are_compared_as_they_are() -> None:
    def words(rows: check.Rows) -> NDArray[Any]:
        return np.where(rows[:, 0] > 0, "yes", "no")

    assert check.compare(4, words, words)["max_abs_diff"] == 0
    with pytest.raises(CompilationError, match="serve this model uncompiled"):
        check.compare(4, words, lambda rows: np.full(len(rows), "no"))
