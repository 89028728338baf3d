"""Train the model that every peer serves: digits, 64 pixels, a scaler and a logistic regression.

Runs in an environment of scikit-learn: ``train.py DIRECTORY`` writes ``model.joblib``, ``rows.csv`` (every
picture, a line each) and ``labels.txt`` (what the model says of them).
"""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(folder: Path) -> None:
    pixels, labels = load_digits(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(pixels, labels)
    joblib.dump(pipeline, folder / "model.joblib")
    (folder / "rows.csv").write_text("".join(",".join(f"{each:g}" for each in row) + "\n" for row in pixels))
    (folder / "labels.txt").write_text("\n".join(map(str, pipeline.predict(pixels))) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
