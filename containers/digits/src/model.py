"""Load a model directory, as trained or as compiled, and serve it (docs/serving.md).

The compiled path needs what the manifest names and no training framework: an image that only serves could
leave scikit-learn out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model_serving import compiled, content, csv_rows
from model_serving.errors import StartError

FEATURES = 64
CLASSES = 10
MODEL_FILE = "model.joblib"


class ModelError(StartError):
    """The model directory does not hold a model that this image can serve."""


class Model(Protocol):
    """Attributes: ``kind``, ``original`` or ``compiled``; ``features``, the width of a row."""

    kind: str
    features: int

    def predict(self, rows: NDArray[Any]) -> NDArray[np.floating[Any]]:
        """Probability of each of the ten digits, one line a row."""
        ...


class OriginalModel:
    """The scikit-learn classifier that training wrote."""

    kind = "original"
    features = FEATURES

    def __init__(self, directory: Path) -> None:
        import joblib

        self._classifier = joblib.load(directory / MODEL_FILE)

    def predict(self, rows: NDArray[Any]) -> NDArray[np.floating[Any]]:
        """See :class:`Model`."""
        result: NDArray[np.floating[Any]] = self._classifier.predict_proba(rows)
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
        if shape != (1, CLASSES):
            raise ModelError(
                f"{directory}: the compiled model answers a row with an array of shape {shape}, not with "
                f"{CLASSES} probabilities: compile what this image trained"
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


def output_fn(probabilities: NDArray[np.floating[Any]], accept: str) -> bytes:
    """A row's answer: the digit, then the probabilities of 0 to 9."""
    labels = probabilities.argmax(axis=1)
    if accept != content.CSV:
        return content.write(np.column_stack([labels, probabilities]), accept)
    lines = zip(labels.tolist(), csv_rows.lines(probabilities), strict=True)
    return b"".join([b"%d,%b\n" % line for line in lines])
