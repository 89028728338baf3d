"""Evaluate a model, original or compiled, on test rows: a processing job.

``baseline_accuracy`` is what the majority class of the training rows reaches (see :mod:`baseline`); a
compiled artefact carries no baseline, so that its evaluation goes without.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import baseline
import inputs
import metrics
import opt_ml


def evaluate() -> None:
    """Run the job: model and test rows in, metrics out."""
    with tempfile.TemporaryDirectory() as directory:
        classifier = inputs.load_model("model", Path(directory))
        plain = baseline.read(Path(directory))
    labels, features = inputs.read_test(classifier.features)
    if len(set(labels.tolist())) < 2:
        raise opt_ml.JobError(
            f"input test: all {len(labels)} rows have the label {labels[0]}, the area under the curve "
            "needs both; "
            "test on more partitions"
        )
    probabilities = classifier.predict(features)
    found: dict[str, object] = {
        "auc": metrics.auc(labels, probabilities),
        "accuracy": metrics.accuracy(labels, probabilities),
        "rows": len(labels),
    }
    if plain is not None:
        found["baseline_accuracy"] = plain.accuracy(labels)
    opt_ml.write_json(inputs.PROCESSING_DIR / "output/evaluation/evaluation.json", {"metrics": found})
    print(f"evaluated the {classifier.kind} model: {found}")
