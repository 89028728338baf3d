"""The benchmark's models: as trained by scikit-learn, or as compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Original:
    """A scikit-learn classifier."""

    kind = "original"

    def __init__(self, directory: Path) -> None:
        import joblib

        self._classifier = joblib.load(directory / "model.joblib")
        self.features = int(self._classifier.n_features_in_)

    def predict(self, rows: Any) -> Any:
        """Probabilities, one line a row."""
        return self._classifier.predict_proba(rows)


def model_fn(model_dir: str) -> Any:
    """The model that was trained, or what Neo made of it."""
    directory = Path(model_dir)
    if (directory / "manifest.json").exists():
        from model_serving import compiled  # in the image

        return compiled.load(directory)
    return Original(directory)
