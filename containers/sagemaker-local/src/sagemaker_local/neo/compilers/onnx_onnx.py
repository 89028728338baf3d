"""ONNX → ONNX, optimised for serving and checked against the model as it came."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnxruntime

from . import tensors
from .job import Compiled, run
from .request import CompilationError, Request

# The same runtime runs both: what rewriting gains is the time to load, and a call is not to get slower.
NOT_SLOWER = 0.8


def compile_model(path: Path, request: Request) -> Compiled:
    """Read the model, optimise it, compare."""
    try:
        model = onnx.load(path)  # with tensors that lie in files beside it
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's and the checker's own
        raise CompilationError(f"{path.name} is not a valid ONNX model: {error}") from error
    graph = model.SerializeToString()
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph, plain, providers=["CPUExecutionProvider"])
    tensors.check_names(request.shapes, [found.name for found in session.get_inputs()])
    return tensors.compiled(
        graph,
        lambda inputs: list(session.run(None, dict(inputs))),
        request,
        {"onnx": onnx.__version__},
        faster_by=NOT_SLOWER,
    )


def main() -> int:
    """Run the job below /opt/ml."""
    return run(compile_model, lambda path: path.suffix == ".onnx", "*.onnx")


if __name__ == "__main__":
    sys.exit(main())
