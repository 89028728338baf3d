"""Load a model directory, as trained or as compiled, behind one interface.

The compiled path imports ONNX Runtime and numpy only: a serving image could leave scikit-learn out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rows import Rows

FEATURES = 64
CLASSES = 10
MODEL_FILE = "model.joblib"
MANIFEST_FILE = "manifest.json"


class ModelError(Exception):
    """The model directory does not hold a model that this image can serve."""


class Model(Protocol):
    """Attributes: ``kind``, ``original`` or ``compiled``; ``features``, the width of a row."""

    kind: str
    features: int

    def predict(self, rows: Rows) -> NDArray[np.floating[Any]]:
        """Probability of each of the ten digits, one line a row."""
        ...


class OriginalModel:
    """The scikit-learn classifier that training wrote."""

    kind = "original"
    features = FEATURES

    def __init__(self, directory: Path) -> None:
        import joblib

        self._classifier = joblib.load(directory / MODEL_FILE)

    def predict(self, rows: Rows) -> NDArray[np.floating[Any]]:
        """See :class:`Model`."""
        result: NDArray[np.floating[Any]] = self._classifier.predict_proba(rows)
        return result


class CompiledModel:
    """The ONNX graph that Neo made of it."""

    kind = "compiled"
    features = FEATURES

    def __init__(self, directory: Path, manifest: dict[str, Any]) -> None:
        import onnxruntime

        if not manifest["model_file"].endswith(".onnx"):
            raise ModelError(
                f"{directory}: compiled to {manifest['model_file']}, this image serves .onnx only"
            )
        outputs = {output["name"] for output in manifest["outputs"]}
        if "probabilities" not in outputs:
            raise ModelError(
                f"{directory}: the compiled model has outputs {sorted(outputs)}, no 'probabilities'"
            )
        options = onnxruntime.SessionOptions()
        # One row is far too small to share out; worker processes (MODEL_SERVER_WORKERS) use the other cores.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._input = manifest["inputs"][0]["name"]
        self._session = onnxruntime.InferenceSession(
            directory / manifest["model_file"], options, providers=["CPUExecutionProvider"]
        )

    def predict(self, rows: Rows) -> NDArray[np.floating[Any]]:
        """See :class:`Model`."""
        result: NDArray[np.floating[Any]]
        (result,) = self._session.run(["probabilities"], {self._input: rows.astype(np.float32)})
        return result


def load(directory: Path) -> Model:
    """The model in a directory: compiled when Neo's manifest lies there, else as trained."""
    manifest = directory / MANIFEST_FILE
    if manifest.exists():
        return CompiledModel(directory, json.loads(manifest.read_text()))
    if (directory / MODEL_FILE).exists():
        return OriginalModel(directory)
    found = (
        ", ".join(sorted(path.name for path in directory.iterdir())) if directory.is_dir() else "no directory"
    )
    raise ModelError(f"{directory}: neither {MANIFEST_FILE} nor {MODEL_FILE} (found: {found or 'nothing'})")


def to_csv(probabilities: NDArray[np.floating[Any]]) -> bytes:
    """The answer's lines: the digit, then the probabilities of 0 to 9."""
    labels = probabilities.argmax(axis=1)
    lines = [
        f"{label}," + ",".join(map(repr, row))
        for label, row in zip(labels.tolist(), probabilities.astype(np.float64).tolist(), strict=True)
    ]
    return ("\n".join(lines) + "\n").encode()
