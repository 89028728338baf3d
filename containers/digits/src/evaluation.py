"""Evaluate a model, original or compiled, on test rows: a processing job.

``baseline_accuracy`` is what the nearest centroid of the training rows reaches (see :mod:`baseline`); a
compiled artefact carries no baseline, so that its evaluation goes without.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import baseline
import inputs
import opt_ml


def evaluate() -> None:
    """Run the job: model and test rows in, metrics out."""
    with tempfile.TemporaryDirectory() as directory:
        classifier = inputs.load_model("model", Path(directory))
        plain = baseline.read(Path(directory))
    labels, pixels = inputs.read_test(classifier.features)
    accuracy = float((classifier.predict(pixels).argmax(axis=1) == labels).mean())
    metrics: dict[str, object] = {"accuracy": accuracy, "rows": len(labels)}
    if plain is not None:
        metrics["baseline_accuracy"] = float((plain.predict(pixels) == labels).mean())
    opt_ml.write_json(inputs.PROCESSING_DIR / "output/evaluation/evaluation.json", {"metrics": metrics})
    print(f"evaluated the {classifier.kind} model: {metrics}")
