"""What the compilers of networks share: an ONNX graph, made faster, proved and described.

The graph is optimised once here, by ONNX Runtime's rewriting (constants folded, operators fused), so that a
server loads the result as it is.
Source: https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html
"""

from __future__ import annotations

import math
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from . import calibration, check, network_native, program, shared_object, timing
from .choice import Candidate, choose
from .job import Compiled
from .program import NotCoveredError
from .proof import Subject
from .request import CompilationError, Request, Shape

MODEL_FILE = "model.onnx"
OPSET = 17
OTHER_ROWS = 3
"""A second batch size: shows whether the graph takes any."""
SAMPLE_ROWS = 64
VALUES_AT_MOST = 4_000_000
TOLERANCE = check.Tolerance(rows=0.0)
MACHINES = {"X86_64": ("x86_64", "AMD64"), "ARM64": ("aarch64", "arm64")}

Inputs = Mapping[str, NDArray[Any]]
Model = Callable[[Inputs], Sequence[NDArray[Any]]]
"""The original: takes the inputs by name, gives its outputs in the order of the graph's."""


def compiled(
    graph: bytes,
    original: Model,
    request: Request,
    versions: Mapping[str, str],
    originals: Mapping[str, Model] | None = None,
    faster_by: float = 1.0,
) -> Compiled:
    """Optimise a graph, describe it, and hand it in for its proof.

    Args:
        graph: ONNX, with the declared inputs.
        original: Answers as the framework does.
        request: The job.
        versions: Of the framework and its converter, by name, the framework first.
        originals: The original by its thread settings, where it has several.
        faster_by: The least speed-up.

    Raises:
        CompilationError: it does not run with the declared shapes.
    """
    plain, graph = graph, optimised(graph, request)
    session = _session(graph)
    names = {found.name for found in session.get_inputs()}
    if names != set(request.shapes):
        raise CompilationError(
            f"DataInputConfig declares the inputs {sorted(request.shapes)}; the model has {sorted(names)}"
        )
    framework, *_ = versions
    any_rows = all(not isinstance(found.shape[0], int) for found in session.get_inputs() if found.shape)

    def of_rows(count: int) -> Inputs:
        shapes = {name: (count, *shape[1:]) for name, shape in request.shapes.items()}
        if not any_rows and shapes != dict(request.shapes):
            raise ValueError(f"the model takes {dict(request.shapes)} only")
        return random_inputs(session, shapes)

    subject = Subject(
        original=original,
        compiled=_runner(session),
        sample=of_rows(_sample_rows(request.shapes)) if any_rows else of_rows(request.rows or 1),
        rows=of_rows,
        of_calibration=lambda arrays: _of_calibration(session, arrays),
        originals=originals or {},
        row_counts=timing.ROW_COUNTS if any_rows else (request.rows or 1,),
        faster_by=faster_by,
    )
    candidates, left_out = [], []
    try:
        candidates.append(_native(plain, request))
    except NotCoveredError as error:
        left_out.append(f"native: {error}")
    candidates.append(_for_onnxruntime(graph, session))
    choice = choose(candidates, subject, left_out)
    manifest = dict(choice.candidate.manifest)
    return Compiled(
        manifest={
            "framework_version": versions[framework],
            **manifest,
            "versions": {**versions, "onnx": onnx.__version__, **manifest["versions"]},
            "runtime": choice.candidate.runtime,
            "why": choice.why,
        },
        files=dict(choice.candidate.files),
        subject=choice.subject,
    )


def _for_onnxruntime(graph: bytes, session: onnxruntime.InferenceSession) -> Candidate:
    return Candidate(
        runtime="onnxruntime",
        manifest={
            "compiler": "onnxruntime",
            "versions": {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
            "model_file": MODEL_FILE,
            "inputs": [_described(found) for found in session.get_inputs()],
            "outputs": [_described(found) for found in session.get_outputs()],
        },
        files={MODEL_FILE: graph},
        answer=_runner(session),
        tolerance=TOLERANCE,
    )


def _native(graph: bytes, request: Request) -> Candidate:
    """Raises NotCoveredError where no step does a part of the network."""
    made = network_native.program(graph)
    library, runnable = program.built(made, request.target.architecture)
    predict = program.loaded(runnable, made.answers, "float32")
    (name,) = request.shapes
    (output,) = onnx.load_model_from_string(graph).graph.output
    return Candidate(
        runtime="native",
        manifest={
            **program.described(),
            "inputs": [{"name": name, "shape": [None, made.features], "dtype": "float32"}],
            "outputs": [{"name": output.name, "shape": [None, made.answers], "dtype": "float32"}],
        },
        files={shared_object.MODEL_FILE: library},
        answer=lambda inputs: [predict(inputs[name])],
        tolerance=TOLERANCE,
    )


def _sample_rows(shapes: Mapping[str, Shape]) -> int:
    """How many rows to compare, so that images do not fill the memory."""
    return max(1, min(SAMPLE_ROWS, VALUES_AT_MOST // max(math.prod(shape[1:]) for shape in shapes.values())))


def _of_calibration(session: onnxruntime.InferenceSession, arrays: Mapping[str, Any]) -> Inputs:
    found = session.get_inputs()
    if len(found) == 1 and set(arrays) == {calibration.UNNAMED}:
        arrays = {found[0].name: arrays[calibration.UNNAMED]}
    if set(arrays) != {each.name for each in found}:
        raise CompilationError(
            f"the calibration sample holds {sorted(arrays)}, the model takes "
            f"{sorted(each.name for each in found)}: write them by numpy.savez under these names"
        )
    inputs = {}
    for each in found:
        array, wanted = np.asarray(arrays[each.name]), [_size(size) for size in each.shape]
        fits = array.ndim == len(wanted) and all(
            size in (None, given) for size, given in zip(wanted, array.shape, strict=True)
        )
        if not fits:
            raise CompilationError(
                f"the calibration sample has {each.name!r} of shape {list(array.shape)}, the model takes "
                f"{wanted}"
            )
        inputs[each.name] = array.astype(_dtype(each.type))
    return inputs


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
        check.compare(original(inputs), _runner(session)(inputs), TOLERANCE)
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
    """As a worker process of a server has it: with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _runner(session: onnxruntime.InferenceSession) -> Model:
    return lambda inputs: list(session.run(None, dict(inputs)))


def _described(found: Any) -> dict[str, Any]:
    shape = [_size(size) for size in found.shape]
    return {"name": found.name, "shape": shape, "dtype": str(_dtype(found.type))}


def _dtype(onnx_type: str) -> np.dtype[Any]:
    word = onnx_type.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(word, word))


def _size(found: Any) -> int | None:
    return found if isinstance(found, int) else None
