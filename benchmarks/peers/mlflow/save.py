"""Write the model as MLflow stores one: ``save.py DIRECTORY`` makes ``DIRECTORY/mlflow``."""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import mlflow.sklearn


def main(folder: Path) -> None:
    target = folder / "mlflow"
    if not target.exists():
        pipeline = joblib.load(folder / "model.joblib")
        mlflow.sklearn.save_model(pipeline, target, serialization_format="cloudpickle")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
