"""Load a model directory, as trained or as compiled, and serve it (docs/serving.md).

The compiled path needs what the manifest names and no training framework: an image that only serves could
leave XGBoost out. The answer is the probability of a yes, which the model server writes by itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model_serving import compiled
from model_serving.errors import StartError

MODEL_FILE = "model.ubj"


class ModelError(StartError):
    """The model directory does not hold a model that this image can serve."""


class Model(Protocol):
    """Attributes: ``kind``, ``original`` or ``compiled``; ``features``, the width of a row."""

    kind: str
    features: int

    def predict(self, rows: NDArray[Any]) -> NDArray[np.floating[Any]]:
        """Probability of a yes, one a row."""
        ...


class OriginalModel:
    """The XGBoost model that training wrote."""

    kind = "original"

    def __init__(self, directory: Path) -> None:
        import xgboost

        # More threads make single rows slower; the server's processes use the other cores.
        self._booster = xgboost.Booster({"nthread": 1}, model_file=directory / MODEL_FILE)
        self._booster.set_param({"nthread": 1})
        self.features = int(self._booster.num_features())

    def predict(self, rows: NDArray[Any]) -> NDArray[np.floating[Any]]:
        """See :class:`Model`."""
        # In place: a DMatrix would cost more than the prediction of a few rows.
        result: NDArray[np.floating[Any]] = self._booster.inplace_predict(rows.astype(np.float32))
        return result


class CompiledModel:
    """What Neo made of it."""

    kind = "compiled"

    def __init__(self, directory: Path) -> None:
        try:
            loaded = compiled.load(directory)
        except compiled.CompiledError as error:
            raise ModelError(str(error)) from error
        self.features = loaded.features
        self.predict = loaded.predict
        shape = loaded.predict(np.zeros((1, self.features))).shape
        if shape != (1,):
            raise ModelError(
                f"{directory}: the compiled model answers a row with an array of shape {shape}, not with one "
                "probability: compile what this image trained"
            )


def load(directory: Path) -> Model:
    """The model in a directory: compiled when Neo's manifest lies there, else as trained."""
    manifest = directory / compiled.MANIFEST_FILE
    original = (directory / MODEL_FILE).exists()
    if manifest.exists() and not (original and json.loads(manifest.read_text()).get("runtime") == "original"):
        return CompiledModel(directory)
    if original:
        return OriginalModel(directory)
    found = (
        ", ".join(sorted(path.name for path in directory.iterdir())) if directory.is_dir() else "no directory"
    )
    raise ModelError(
        f"{directory}: neither {compiled.MANIFEST_FILE} nor {MODEL_FILE} (found: {found or 'nothing'})"
    )


def model_fn(model_dir: str) -> Model:
    """What the model server serves."""
    return load(Path(model_dir))
