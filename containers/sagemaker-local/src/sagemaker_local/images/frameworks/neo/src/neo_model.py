"""Serving of what Neo compiled: ``manifest.json`` says what lies beside it and what goes in and out.

A script of the user's (``code/inference.py``) is served where there is one; its model_fn gets the directory.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from model_server import toolkit
from model_server.model import CSV, JSON, Answer, Model, media_type
from model_server.user_code import PROGRAM

Predict = Callable[[np.ndarray], np.ndarray]


class CompiledModel:
    """A shared object with a table of trees, or an ONNX graph."""

    def __init__(self, model_dir: Path) -> None:
        path = model_dir / "manifest.json"
        if not path.exists():
            raise FileNotFoundError(f"{model_dir} has no manifest.json: deploy what a compilation job wrote")
        self.manifest: dict[str, Any] = json.loads(path.read_text())
        self.file = model_dir / self.manifest["model_file"]
        self.predict = _onnx(self) if self.file.suffix == ".onnx" else _shared_object(self)

    def answer(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """CSV, JSON or NPY in; CSV or JSON out."""
        kind = media_type(headers.get("content-type"), CSV)
        try:
            rows = _rows(body, kind)
        except ValueError as error:
            return refusal(400, f"The body is no {kind}: {error}")
        if rows is None:
            return Answer(
                f"Content type {kind} is not supported: {CSV}, {JSON} are".encode(), "text/plain", 415
            )
        try:
            answers = self.predict(rows)
        except Exception as error:
            return Answer(
                f"The model does not take rows of shape {rows.shape}: {error}".encode(), "text/plain", 400
            )
        if media_type(headers.get("accept"), kind) == JSON:
            return Answer(json.dumps(answers.tolist()).encode())
        if answers.ndim == 1 or answers.shape[1:] == (1,):
            return Answer(",".join(map(repr, answers.ravel().tolist())).encode(), CSV)
        lines = (",".join(map(repr, row)) for row in answers.reshape(len(answers), -1).tolist())
        return Answer("\n".join(lines).encode(), CSV)


def refusal(status: int, text: str) -> Answer:
    """Why there is no prediction."""
    return Answer(text.encode(), "text/plain", status)


def _rows(body: bytes, kind: str) -> np.ndarray | None:
    if kind == CSV:
        return np.loadtxt(io.BytesIO(body), delimiter=",", dtype=np.float32, ndmin=2)
    if kind == JSON:
        content = json.loads(body)
        return np.asarray(content.get("instances") if isinstance(content, dict) else content, np.float32)
    if kind == "application/x-npy":
        return np.asarray(np.load(io.BytesIO(body)), np.float32)
    return None


def _shared_object(model: CompiledModel) -> Predict:
    function = ctypes.CDLL(str(model.file))[model.manifest["entry_point"]]
    function.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    function.restype = None
    features = int(model.manifest["inputs"][0]["shape"][1])
    shape = [int(size) for size in model.manifest["outputs"][0]["shape"][1:]]

    def predict(rows: np.ndarray) -> np.ndarray:
        if rows.ndim != 2 or rows.shape[1] != features:  # Anything else would be read beyond its end.
            raise ValueError(f"it takes {features} features")
        given = np.ascontiguousarray(rows, np.float32)
        answers = np.empty((len(given), *shape), np.float32)
        function(given.ctypes.data, len(given), answers.ctypes.data)
        return answers

    return predict


def _onnx(model: CompiledModel) -> Predict:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model.file), options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    # A classifier's labels are in the first output, what they were chosen by in the last.
    wanted = next((name for name in names if "prob" in name.lower()), names[-1])
    types = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}

    def predict(rows: np.ndarray) -> np.ndarray:
        given = rows.astype(types.get(entry.type, np.float32))
        return np.asarray(session.run([wanted], {entry.name: given})[0])

    return predict


def load(model_dir: Path) -> Model:
    """The script's model, or the compiled one."""
    if os.environ.get(PROGRAM) or (model_dir / "code" / "inference.py").is_file():
        return toolkit.load(model_dir)
    return CompiledModel(model_dir)
