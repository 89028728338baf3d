"""Inputs of the processing jobs that look at a model: test rows, and model artefacts."""

from __future__ import annotations

from pathlib import Path

import model
import numpy as np
import opt_ml
import rows
from numpy.typing import NDArray

PROCESSING_DIR = opt_ml.BASE_DIR / "processing"


def load_model(name: str, directory: Path) -> model.Model:
    """Unpack the model artefact of a processing input into a directory and load it."""
    try:
        return model.load(opt_ml.extract(opt_ml.only_archive(PROCESSING_DIR / "input" / name), directory))
    except model.ModelError as error:
        raise opt_ml.JobError(f"input {name}: {error}") from None


def read_test(features: int) -> tuple[NDArray[np.int64], rows.Rows]:
    """Labels and features of the test rows, as wide as the model takes them."""
    try:
        labels, values = rows.read_labelled(PROCESSING_DIR / "input/test")
    except rows.RowError as error:
        raise opt_ml.JobError(f"input test: {error}") from None
    if values.shape[1] != features:
        raise opt_ml.JobError(
            f"input test: {values.shape[1]} features after the label, the model takes {features}"
        )
    return labels, values
