"""Evaluate a model, original or compiled, on test rows: a processing job.

``baseline_accuracy`` is what the nearest centroid of the training rows reaches (see :mod:`baseline`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import baseline
import model
import opt_ml
import rows

PROCESSING_DIR = opt_ml.BASE_DIR / "processing"


def read_test() -> tuple[rows.NDArray[rows.np.int64], rows.Rows]:
    try:
        labels, pixels = rows.read_labelled(PROCESSING_DIR / "input/test")
    except rows.RowError as error:
        raise opt_ml.JobError(f"input test: {error}") from None
    if pixels.shape[1] != model.FEATURES:
        raise opt_ml.JobError(f"input test: {pixels.shape[1]} features after the label, need {model.FEATURES}")
    return labels, pixels


def load_input(name: str, directory: Path) -> model.Model:
    """Unpack and load the model artefact of one processing input."""
    try:
        return model.load(opt_ml.extract(opt_ml.only_archive(PROCESSING_DIR / "input" / name), directory))
    except model.ModelError as error:
        raise opt_ml.JobError(f"input {name}: {error}") from None


def evaluate() -> None:
    labels, pixels = read_test()
    with tempfile.TemporaryDirectory() as directory:
        classifier = load_input("model", Path(directory))
        plain = baseline.read(Path(directory))
    accuracy = float((classifier.probabilities(pixels).argmax(axis=1) == labels).mean())
    metrics: dict[str, object] = {"accuracy": accuracy, "rows": len(labels)}
    if plain is not None:
        metrics["baseline_accuracy"] = float((plain.predict(pixels) == labels).mean())
    opt_ml.write_json(PROCESSING_DIR / "output/evaluation/evaluation.json", {"metrics": metrics})
    print(f"evaluated the {classifier.kind} model: {metrics}")
