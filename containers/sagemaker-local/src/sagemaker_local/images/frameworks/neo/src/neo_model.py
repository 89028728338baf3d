"""Serving of what Neo compiled: ``manifest.json`` says what lies beside it and what goes in and out.

A script of the user's (``code/inference.py``) is served where there is one; its model_fn gets the directory.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path

import compiled
import numpy as np
from model_server import toolkit
from model_server.model import CSV, JSON, Answer, Model, media_type
from model_server.user_code import PROGRAM


class CompiledModel:
    """A shared object, or a graph for ONNX Runtime."""

    def __init__(self, model_dir: Path) -> None:
        self.model = compiled.load(model_dir)

    def answer(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """CSV, JSON or NPY in; CSV or JSON out."""
        kind = media_type(headers.get("content-type"), CSV)
        try:
            rows = _rows(body, kind, self.model.input_dtype)
        except ValueError as error:
            return refusal(400, f"The body is no {kind}: {error}")
        if rows is None:
            return Answer(
                f"Content type {kind} is not supported: {CSV}, {JSON} are".encode(), "text/plain", 415
            )
        try:
            answers = self.model.predict(rows)
        except Exception as error:  # each runtime has exceptions of its own
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


def _rows(body: bytes, kind: str, dtype: np.dtype) -> np.ndarray | None:
    if kind == CSV:
        return np.loadtxt(io.BytesIO(body), delimiter=",", dtype=dtype, ndmin=2)
    if kind == JSON:
        content = json.loads(body)
        return np.asarray(content.get("instances") if isinstance(content, dict) else content, dtype)
    if kind == "application/x-npy":
        return np.asarray(np.load(io.BytesIO(body)), dtype)
    return None


def load(model_dir: Path) -> Model:
    """The script's model, or the compiled one."""
    if os.environ.get(PROGRAM) or (model_dir / "code" / "inference.py").is_file():
        return toolkit.load(model_dir)
    return CompiledModel(model_dir)
