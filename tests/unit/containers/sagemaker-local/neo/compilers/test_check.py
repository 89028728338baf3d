"""The check of a compiled model against its original."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sagemaker_local.neo.compilers import check
from sagemaker_local.neo.compilers.check import Tolerance
from sagemaker_local.neo.compilers.request import CompilationError

ROWS = check.random_rows(4)
WANTED: NDArray[Any] = np.tanh(ROWS.sum(axis=1))


def off_at(count: int, by: float) -> NDArray[Any]:
    answers = WANTED.copy()
    answers[:count] += by
    return answers


def test_rounding_passes_and_is_reported() -> None:
    found = check.compare([WANTED], [off_at(10_000, 1e-6)])
    assert found["rows"] == 1025
    assert found["rows_that_differ"] == 0
    assert found["max_abs_diff"] == pytest.approx(1e-6, rel=0.1)


def test_a_row_on_a_border_passes_and_is_counted() -> None:
    assert check.compare([WANTED], [off_at(2, 0.5)])["rows_that_differ"] == 2


@pytest.mark.parametrize("by", [1e-3, np.nan, np.inf])
def test_a_wrong_model_is_refused(by: float) -> None:
    with pytest.raises(CompilationError, match="differs from the original on 100 of 1025 random rows"):
        check.compare([WANTED], [off_at(100, by)])


def test_a_compiler_may_promise_more() -> None:
    check.compare([WANTED], [off_at(2, 1e-6)])
    with pytest.raises(CompilationError, match="on 2 of 1025 calibration rows"):
        check.compare([WANTED], [off_at(2, 1e-6)], Tolerance(relative=1e-7, rows=0.0), "calibration")


def test_the_output_that_differs_is_named() -> None:
    with pytest.raises(CompilationError, match="differs from the original in output 1 on 100 of"):
        check.compare([WANTED, WANTED], [WANTED, off_at(100, 1)])


def test_another_shape_is_refused() -> None:
    with pytest.raises(CompilationError, match=r"answers with shape \(1025, 2\)"):
        check.compare([WANTED], [ROWS[:, :2]])


def test_a_column_is_as_good_as_a_vector() -> None:
    assert check.compare([WANTED], [WANTED[:, None]])["max_abs_diff"] == 0


def test_missing_and_infinite_answers_are_compared_as_they_are() -> None:
    odd = off_at(0, 0)
    odd[:2] = np.nan, np.inf
    assert check.compare([odd], [odd])["rows_that_differ"] == 0
    with pytest.raises(CompilationError, match="on 2 of 1025"):
        check.compare([odd], [WANTED], Tolerance(rows=0.0))


def test_labels_are_compared_as_they_are() -> None:
    words = np.where(ROWS[:, 0] > 0, "yes", "no")
    assert check.compare([words], [words])["max_abs_diff"] == 0
    with pytest.raises(CompilationError, match="serve this model uncompiled"):
        check.compare([words], [np.full(len(words), "no")])


def test_rows_go_on_over_and_over() -> None:
    rows = check.rows(4, 2000)
    assert rows.shape == (2000, 4)
    assert (rows[1025:] == rows[:975]).all()
