"""All that a user writes to serve a scikit-learn model by our base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib


def model_fn(model_dir: str) -> Any:
    """The pipeline as trained; its ``predict`` gives the digits."""
    return joblib.load(Path(model_dir) / "model.joblib")
