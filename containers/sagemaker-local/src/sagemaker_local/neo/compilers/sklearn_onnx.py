"""scikit-learn → ONNX: any estimator or pipeline that skl2onnx converts."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import skl2onnx
from numpy.typing import NDArray
from skl2onnx.common.data_types import FloatTensorType

from . import calibrated_svm
from .choice import Candidate
from .request import INPUT_NAME, CompilationError, Request

MODEL_FILE = "model.onnx"
Both = tuple[NDArray[np.float64], NDArray[np.float32]]
"""Rows as scikit-learn takes them, and as the graph does."""


def candidate(estimator: Any, features: int, method: str, request: Request) -> Candidate:
    """An estimator as a graph for ONNX Runtime.

    Raises:
        CompilationError: skl2onnx cannot convert it.
    """
    calibrated_svm.register()
    graph = convert(estimator, features)
    session = one_thread(graph)
    outputs = describe_outputs(session, method)

    def answer(rows: Both) -> list[Any]:
        return list(session.run([outputs[-1]["name"]], {INPUT_NAME: rows[1]}))

    return Candidate(
        runtime="onnxruntime",
        manifest={
            "compiler": "skl2onnx",
            "versions": {
                "skl2onnx": skl2onnx.__version__,
                "onnx": onnx.__version__,
                "onnxruntime": onnxruntime.__version__,
                "numpy": np.__version__,
            },
            "model_file": MODEL_FILE,
            "inputs": [{"name": INPUT_NAME, "shape": [None, features], "dtype": "float32"}],
            "outputs": outputs,
        },
        files={MODEL_FILE: graph},
        answer=answer,
    )


def one_thread(graph: bytes) -> onnxruntime.InferenceSession:
    """A session as a worker process of a server has it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def convert(estimator: Any, features: int) -> bytes:
    """The ONNX graph of an estimator, for any number of rows."""
    types = [(INPUT_NAME, FloatTensorType([None, features]))]
    # Without this option probabilities are a list of dictionaries; a few classifiers do not know it.
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None
    try:
        try:
            model = skl2onnx.to_onnx(estimator, initial_types=types, options=options)
        except NameError:
            model = skl2onnx.to_onnx(estimator, initial_types=types)
    except Exception as error:  # a converter that breaks on a model raises whatever it is
        reason, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise CompilationError(
            f"{type(estimator).__name__} has a part that skl2onnx {skl2onnx.__version__} cannot convert: "
            f"{reason}"
        ) from error
    # skl2onnx collects the imports in a set: their order, and so the bytes, would change from run to run.
    imports = sorted(model.opset_import, key=lambda used: used.domain)
    del model.opset_import[:]
    model.opset_import.extend(imports)
    graph: bytes = model.SerializeToString(deterministic=True)
    return graph


def describe_outputs(session: onnxruntime.InferenceSession, method: str) -> list[dict[str, Any]]:
    """Names, shapes and types of the graph's outputs; the last one carries ``method``."""
    outputs = session.get_outputs()
    kept = outputs[:2] if method != "predict" else outputs[:1]
    described = [
        {
            "name": output.name,
            "shape": [size if isinstance(size, int) else None for size in output.shape],
            "dtype": output.type.removeprefix("tensor(").removesuffix(")").replace("float", "float32"),
            "method": "predict",
        }
        for output in kept
    ]
    described[-1]["method"] = method
    return described
