"""Load a model directory, as trained or as compiled, behind one interface.

The compiled path needs numpy and ctypes only: a serving image could leave XGBoost out.
"""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rows import Rows

MODEL_FILE = "model.ubj"
MANIFEST_FILE = "manifest.json"


class ModelError(Exception):
    """The model directory does not hold a model that this image can serve."""


class Model(Protocol):
    """Attributes: ``kind``, ``original`` or ``compiled``; ``features``, the width of a row."""

    kind: str
    features: int

    def predict(self, rows: Rows) -> NDArray[np.floating[Any]]:
        """Probability of a yes, one a row."""
        ...


class OriginalModel:
    """The XGBoost model that training wrote."""

    kind = "original"

    def __init__(self, directory: Path) -> None:
        import xgboost

        # More threads make single rows slower; worker processes (MODEL_SERVER_WORKERS) use the other cores.
        self._booster = xgboost.Booster({"nthread": 1}, model_file=directory / MODEL_FILE)
        self._booster.set_param({"nthread": 1})
        self.features = int(self._booster.num_features())

    def predict(self, rows: Rows) -> NDArray[np.floating[Any]]:
        """See :class:`Model`."""
        # In place: a DMatrix would cost more than the prediction of a few rows.
        result: NDArray[np.floating[Any]] = self._booster.inplace_predict(rows.astype(np.float32))
        return result


class CompiledModel:
    """The shared object that Neo made of it; its interface is in the manifest."""

    kind = "compiled"

    def __init__(self, directory: Path, manifest: dict[str, Any]) -> None:
        outputs = manifest["outputs"]
        if not manifest["model_file"].endswith(".so") or len(outputs) != 1 or outputs[0]["shape"] != [None]:
            raise ModelError(
                f"{directory}: compiled to {manifest['model_file']} with outputs {outputs}; this image "
                "serves a shared "
                "object with one probability a row"
            )
        path = directory / manifest["model_file"]
        try:
            library = ctypes.CDLL(str(path))
        except OSError as error:
            raise ModelError(
                f"{path} cannot be loaded ({error}); compiled for {manifest['target']}"
            ) from error
        self._function = library[manifest["entry_point"]]
        self._function.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
        self._function.restype = None
        self.features = int(manifest["inputs"][0]["shape"][1])

    def predict(self, rows: Rows) -> NDArray[np.floating[Any]]:
        """See :class:`Model`."""
        if rows.shape[1] != self.features:  # Anything else would be read beyond its end.
            raise ModelError(f"{rows.shape[1]} features, the compiled model takes {self.features}")
        narrow = np.ascontiguousarray(rows, np.float32)
        answers = np.empty(len(narrow), np.float32)
        self._function(narrow.ctypes.data, len(narrow), answers.ctypes.data)
        return answers


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
    """The answer's lines: the probability of a yes."""
    return ("\n".join(map(repr, probabilities.astype(np.float64).tolist())) + "\n").encode()
