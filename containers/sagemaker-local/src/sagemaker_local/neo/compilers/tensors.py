"""What the compilers of networks share: an ONNX graph, made faster, proved and described.

The graph is optimised once here, by ONNX Runtime's rewriting (constants folded, operators fused), so that a
server loads the result as it is.
Source: https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html
"""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from .check import compare_answers
from .job import Compiled
from .request import CompilationError, Request, Shape

MODEL_FILE = "model.onnx"
OPSET = 17
OTHER_ROWS = 3
"""A second batch size: shows whether the graph takes any."""
REPEATS = 20
LONGEST_TIMING_S = 2.0
MACHINES = {"X86_64": ("x86_64", "AMD64"), "ARM64": ("aarch64", "arm64")}

Inputs = Mapping[str, NDArray[Any]]
Model = Callable[[Inputs], Sequence[NDArray[Any]]]
"""The original: takes the inputs by name, gives its outputs in the order of the graph's."""


def compiled(graph: bytes, original: Model, request: Request, versions: Mapping[str, str]) -> Compiled:
    """Optimise a graph, compare it with the model that it was made of, and describe it.

    Args:
        graph: ONNX, with the declared inputs.
        original: Answers as the framework does.
        request: The job.
        versions: Of the framework and its converter, by name, the framework first.

    Raises:
        CompilationError: it does not run with the declared shapes, or answers something else.
    """
    graph = optimised(graph, request)
    session = _session(graph)
    names = {found.name for found in session.get_inputs()}
    if names != set(request.shapes):
        raise CompilationError(
            f"DataInputConfig declares the inputs {sorted(request.shapes)}; the model has {sorted(names)}"
        )
    inputs = random_inputs(session, request.shapes)
    checked = compare_answers(original(inputs), _runner(session)(inputs))
    framework, *_ = versions
    return Compiled(
        manifest={
            "framework_version": versions[framework],
            "compiler": "onnxruntime",
            "versions": {**versions, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__,
                         "numpy": np.__version__},
            "model_file": MODEL_FILE,
            "inputs": [_described(found) for found in session.get_inputs()],
            "outputs": [_described(found) for found in session.get_outputs()],
            "check": checked,
            "p50_us": {"original": _microseconds(original, inputs),
                       "compiled": _microseconds(_runner(session), inputs)},
        },
        files={MODEL_FILE: graph},
    )  # fmt: skip


def optimised(graph: bytes, request: Request) -> bytes:
    """The graph after ONNX Runtime's rewriting, the basic one only for other processors than this one."""
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    here = platform.machine() in MACHINES[request.target.architecture]
    options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED if here else levels.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / MODEL_FILE
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's exceptions have no common class
            raise CompilationError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load the graph: {error}"
            ) from error
        return path.read_bytes()


def takes_other_rows(graph: bytes, original: Model, request: Request) -> bool:
    """Whether a graph answers like its original for another batch size than it was traced with."""
    shapes = {name: (OTHER_ROWS, *shape[1:]) for name, shape in request.shapes.items()}
    try:
        session = _session(graph)
        inputs = random_inputs(session, shapes)
        compare_answers(original(inputs), _runner(session)(inputs))
    except Exception:  # whichever of the two cannot: then the batch is fixed, as DataInputConfig says
        return False
    return True


def random_inputs(
    session: onnxruntime.InferenceSession, shapes: Mapping[str, Shape]
) -> dict[str, NDArray[Any]]:
    """Values from 0 to 1, which pixels, probabilities and indices can all be; the same ones every time."""
    generator = np.random.default_rng(0)
    inputs: dict[str, NDArray[Any]] = {}
    for found in session.get_inputs():
        dtype, shape = _dtype(found.type), shapes[found.name]
        whole = dtype.kind in "iub"
        values = generator.integers(0, 2, shape) if whole else generator.uniform(0, 1, shape)
        inputs[found.name] = values.astype(dtype)
    return inputs


def check_names(declared: Mapping[str, Shape], found: Sequence[str]) -> None:
    """Refuse declared inputs that are not the model's."""
    if sorted(declared) != sorted(found):
        raise CompilationError(
            f"DataInputConfig declares the inputs {sorted(declared)}; the model has {sorted(found)}"
        )


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def _runner(session: onnxruntime.InferenceSession) -> Model:
    return lambda inputs: list(session.run(None, dict(inputs)))


def _microseconds(model: Model, inputs: Inputs) -> float:
    taken: list[float] = []
    while len(taken) < REPEATS and sum(taken) < LONGEST_TIMING_S:
        started = time.perf_counter()
        model(inputs)
        taken.append(time.perf_counter() - started)
    return round(statistics.median(taken) * 1e6, 1)


def _described(found: Any) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else None for size in found.shape]
    return {"name": found.name, "shape": shape, "dtype": str(_dtype(found.type))}


def _dtype(onnx_type: str) -> np.dtype[Any]:
    word = onnx_type.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(word, word))
