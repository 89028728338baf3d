"""Train the digits classifier: a support vector machine with an RBF kernel and calibrated probabilities.

The test days hold the hand of writers whom the classifier never saw, which costs tree ensembles and small
networks several points of accuracy; the RBF kernel keeps above 0.95 there. Beside the model lies the baseline
that it has to beat: the nearest centroid of the training rows.
"""

from __future__ import annotations

import baseline
import hyperparameters
import joblib
import model
import numpy as np
import opt_ml
import rows
from hyperparameters import Limit
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import SVC

LIMITS = {
    "C": Limit(10.0, 1e-6, 1e6),  # penalty of a row on the wrong side of the margin
    "gamma": Limit(0.001, 1e-6, 1e3),  # width of the RBF kernel, per squared pixel difference
    "calibration_folds": Limit(5, 2, 20, int),  # folds that the probabilities are calibrated on
    "random_state": Limit(0, 0, 2**32 - 1, int),
}


def read_channel(name: str) -> tuple[NDArray[np.int64], rows.Rows]:
    """One data channel, checked to hold labels 0 to 9 and 64 pixels."""
    try:
        labels, pixels = rows.read_labelled(opt_ml.BASE_DIR / "input/data" / name)
    except rows.RowError as error:
        raise opt_ml.JobError(f"channel {name}: {error}") from None
    if pixels.shape[1] != model.FEATURES:
        raise opt_ml.JobError(
            f"channel {name}: {pixels.shape[1]} features after the label, need {model.FEATURES}"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= model.CLASSES))
    if wrong.size:
        raise opt_ml.JobError(
            f"channel {name}: label {labels[wrong[0]]} of row {wrong[0] + 1} is not a digit 0 to 9"
        )
    return labels, pixels


def train() -> None:
    """Run the job: rows and hyperparameters in, model and baseline out."""
    chosen = hyperparameters.read(opt_ml.hyperparameters(), LIMITS)
    labels, pixels = read_channel("train")
    folds = int(chosen["calibration_folds"])
    counts = np.bincount(labels, minlength=model.CLASSES)
    if counts.min() < folds:
        raise opt_ml.JobError(
            f"channel train: digit {counts.argmin()} has {counts.min()} rows, "
            f"calibration_folds={folds} needs at least as many of each digit"
        )
    print(f"training on {len(labels)} rows with {chosen}")
    machine = SVC(C=chosen["C"], gamma=chosen["gamma"], random_state=int(chosen["random_state"]))
    classifier = CalibratedClassifierCV(machine, cv=folds, ensemble=False)
    classifier.fit(pixels, labels)
    directory = opt_ml.BASE_DIR / "model"
    directory.mkdir(parents=True, exist_ok=True)
    joblib.dump(classifier, directory / model.MODEL_FILE, compress=3)
    baseline.fit(labels, pixels).write(directory)
    report("train", classifier, labels, pixels)
    if (opt_ml.BASE_DIR / "input/data/validation").is_dir():
        report("validation", classifier, *read_channel("validation"))


def report(
    channel: str, classifier: CalibratedClassifierCV, labels: NDArray[np.int64], pixels: rows.Rows
) -> None:
    """Print metrics as ``channel:name=value``, for the training job's MetricDefinitions."""
    print(f"{channel}:rows={len(labels)}")
    print(f"{channel}:accuracy={(classifier.predict(pixels) == labels).mean():.6f}")
