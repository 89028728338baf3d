"""Train the digits classifier: a support vector machine with an RBF kernel and calibrated probabilities.

The test days hold the hand of writers whom the classifier never saw, which costs tree ensembles and small
networks several points of accuracy; the RBF kernel keeps above 0.95 there. Beside the model lies the baseline
that it has to beat: the nearest centroid of the training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import baseline
import joblib
import model
import numpy as np
import opt_ml
import rows
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import SVC


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Hyperparameters with their defaults; SageMaker hands every one over as a string.

    Attributes:
        C: Penalty of a row on the wrong side of the margin.
        gamma: Width of the RBF kernel, per squared pixel difference.
        calibration_folds: Folds that the probabilities are calibrated on.
        random_state: Fixed seed, for the same model from the same rows.
    """

    C: float = 10.0
    gamma: float = 0.001
    calibration_folds: int = 5
    random_state: int = 0


# What each hyperparameter may be: how to read it, the test it has to pass, the words for that test.
LIMITS: dict[str, tuple[Callable[[str], float], Callable[[float], bool], str]] = {
    "C": (float, lambda value: 0 < value <= 1e6, "a number above 0, at most 1000000"),
    "gamma": (float, lambda value: 0 < value <= 1e3, "a number above 0, at most 1000"),
    "calibration_folds": (int, lambda value: 2 <= value <= 20, "a whole number from 2 to 20"),
    "random_state": (int, lambda value: 0 <= value < 2**32, "a whole number from 0 to 4294967295"),
}


def read_hyperparameters(given: dict[str, str]) -> Hyperparameters:
    """Check and convert; every problem is reported at once."""
    problems = []
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in LIMITS:
            problems.append(f"{name!r} is not known (known: {', '.join(f.name for f in fields(Hyperparameters))})")
            continue
        convert, allowed, words = LIMITS[name]
        try:
            value = convert(text)
        except ValueError:
            problems.append(f"{name}={text!r} must be {words}")
            continue
        if allowed(value):
            values[name] = value
        else:
            problems.append(f"{name}={text!r} must be {words}")
    if problems:
        raise opt_ml.JobError("hyperparameters: " + "; ".join(problems))
    return Hyperparameters(**values)


def read_channel(name: str) -> tuple[rows.NDArray[np.int64], rows.Rows]:
    """One data channel, checked to hold labels 0 to 9 and 64 pixels."""
    try:
        labels, pixels = rows.read_labelled(opt_ml.BASE_DIR / "input/data" / name)
    except rows.RowError as error:
        raise opt_ml.JobError(f"channel {name}: {error}") from None
    if pixels.shape[1] != model.FEATURES:
        raise opt_ml.JobError(f"channel {name}: {pixels.shape[1]} features after the label, need {model.FEATURES}")
    wrong = np.flatnonzero((labels < 0) | (labels >= model.CLASSES))
    if wrong.size:
        raise opt_ml.JobError(f"channel {name}: label {labels[wrong[0]]} of row {wrong[0] + 1} is not a digit 0 to 9")
    return labels, pixels


def train() -> None:
    hyperparameters = read_hyperparameters(opt_ml.hyperparameters())
    labels, pixels = read_channel("train")
    counts = np.bincount(labels, minlength=model.CLASSES)
    if counts.min() < hyperparameters.calibration_folds:
        raise opt_ml.JobError(
            f"channel train: digit {counts.argmin()} has {counts.min()} rows, "
            f"calibration_folds={hyperparameters.calibration_folds} needs at least as many of each digit"
        )
    print(f"training on {len(labels)} rows with {hyperparameters}")
    classifier = CalibratedClassifierCV(
        SVC(C=hyperparameters.C, gamma=hyperparameters.gamma, random_state=hyperparameters.random_state),
        cv=hyperparameters.calibration_folds,
        ensemble=False,
    )
    classifier.fit(pixels, labels)
    directory = opt_ml.BASE_DIR / "model"
    directory.mkdir(parents=True, exist_ok=True)
    joblib.dump(classifier, directory / model.MODEL_FILE, compress=3)
    baseline.fit(labels, pixels).write(directory)
    print(f"train:rows={len(labels)}")
    print(f"train:accuracy={(classifier.predict(pixels) == labels).mean():.6f}")
    if (opt_ml.BASE_DIR / "input/data/validation").is_dir():
        labels, pixels = read_channel("validation")
        print(f"validation:rows={len(labels)}")
        print(f"validation:accuracy={(classifier.predict(pixels) == labels).mean():.6f}")
