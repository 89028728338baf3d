"""Train the bank's model: gradient boosted trees (XGBoost) for the probability that a client says yes.

Beside the model lies the baseline that it has to beat: the majority class of the training rows.
"""

from __future__ import annotations

from typing import Any

import baseline
import hyperparameters
import metrics
import model
import numpy as np
import opt_ml
import rows
import xgboost
from hyperparameters import Limit
from numpy.typing import NDArray

ROUNDS = "num_round"
LIMITS = {
    ROUNDS: Limit(200, 1, 10_000, int),
    "max_depth": Limit(4, 1, 16, int),
    "eta": Limit(0.1, 1e-6, 1.0),
    "min_child_weight": Limit(1.0, 0.0, 1e6),
    "gamma": Limit(0.0, 0.0, 1e6),
    "lambda": Limit(1.0, 0.0, 1e6),
    "alpha": Limit(0.0, 0.0, 1e6),
    "subsample": Limit(1.0, 1e-3, 1.0),
    "colsample_bytree": Limit(1.0, 1e-3, 1.0),
    "scale_pos_weight": Limit(1.0, 1e-6, 1e6),
    "seed": Limit(0, 0, 2**31 - 1, int),
}


def read_channel(name: str) -> tuple[NDArray[np.int64], rows.Rows]:
    """One data channel, checked to hold labels 0 and 1."""
    try:
        labels, features = rows.read_labelled(opt_ml.BASE_DIR / "input/data" / name)
    except rows.RowError as error:
        raise opt_ml.JobError(f"channel {name}: {error}") from None
    wrong = np.flatnonzero((labels != 0) & (labels != 1))
    if wrong.size:
        raise opt_ml.JobError(
            f"channel {name}: label {labels[wrong[0]]} of row {wrong[0] + 1} is neither 0 nor 1"
        )
    return labels, features


def train() -> None:
    """Run the job: rows and hyperparameters in, model and baseline out."""
    chosen: dict[str, Any] = dict(hyperparameters.read(opt_ml.hyperparameters(), LIMITS))
    rounds = int(chosen.pop(ROUNDS))
    labels, features = read_channel("train")
    if labels.min() == labels.max():
        raise opt_ml.JobError(
            f"channel train: all {len(labels)} rows have the label {labels[0]}; train on more days"
        )
    print(f"training on {len(labels)} rows for {rounds} rounds with {chosen}")
    # One thread: sums in a fixed order, hence the same model from the same rows on every machine.
    booster = xgboost.train(
        {**chosen, "objective": "binary:logistic", "tree_method": "hist", "nthread": 1},
        xgboost.DMatrix(features, labels, nthread=1),
        rounds,
    )
    directory = opt_ml.BASE_DIR / "model"
    directory.mkdir(parents=True, exist_ok=True)
    booster.save_model(directory / model.MODEL_FILE)
    baseline.fit(labels).write(directory)
    report("train", booster, labels, features)
    if (opt_ml.BASE_DIR / "input/data/validation").is_dir():
        report("validation", booster, *read_channel("validation"))


def report(channel: str, booster: xgboost.Booster, labels: NDArray[np.int64], features: rows.Rows) -> None:
    """Print metrics as ``channel:name=value``, for the training job's MetricDefinitions."""
    probabilities = booster.inplace_predict(features)
    print(f"{channel}:rows={len(labels)}")
    print(f"{channel}:accuracy={metrics.accuracy(labels, probabilities):.6f}")
    print(f"{channel}:auc={metrics.auc(labels, probabilities):.6f}")
