"""TensorFlow → ONNX: a SavedModel or a frozen graph, by tf2onnx."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
import tf2onnx

from . import tensors
from .job import Compiled, run
from .request import CompilationError, Request

SAVED_MODEL = "saved_model.pb"
SIGNATURE = "serving_default"


def compile_model(path: Path, request: Request) -> Compiled:
    """Load, convert, compare."""
    original, graph = (
        of_saved_model(path.parent, request) if path.name == SAVED_MODEL else of_frozen(path, request)
    )
    return compiled(original, graph, request)


def compiled(original: tensors.Model, graph: Any, request: Request) -> Compiled:
    """What the compilers of TensorFlow and Keras do with a converted model."""
    versions = {"tensorflow": tf.__version__, "tf2onnx": tf2onnx.__version__}
    return tensors.compiled(graph.SerializeToString(), original, request, versions)


def of_saved_model(directory: Path, request: Request) -> tuple[tensors.Model, Any]:
    """The function that serving calls, and its graph."""
    loaded = tf.saved_model.load(str(directory))
    if SIGNATURE not in loaded.signatures:
        raise CompilationError(
            f"the SavedModel has no signature {SIGNATURE!r}; it has {sorted(loaded.signatures)}"
        )
    signature = loaded.signatures[SIGNATURE]
    expected = signature.structured_input_signature[1]
    tensors.check_names(request.shapes, list(expected))
    specs = [_spec(name, shape, expected[name]) for name, shape in request.shapes.items()]

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator, unused-ignore]
    def call(*inputs: Any) -> dict[str, Any]:
        named = dict(zip(request.shapes, inputs, strict=True))
        answer: dict[str, Any] = signature(**named)
        return answer

    graph, _ = tf2onnx.convert.from_function(call, input_signature=specs, opset=tensors.OPSET)
    order = [output.name for output in graph.graph.output]

    def original(inputs: tensors.Inputs) -> list[Any]:
        answer = signature(**{name: tf.constant(value) for name, value in inputs.items()})
        return [answer[name].numpy() for name in order]

    return original, graph


def of_frozen(path: Path, request: Request) -> tuple[tensors.Model, Any]:
    """A GraphDef whose variables are constants; its outputs are what nothing else reads."""
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's DecodeError, which is not public
        raise CompilationError(f"{path.name} is not a frozen TensorFlow graph: {error}") from error
    placeholders = [node.name for node in definition.node if node.op == "Placeholder"]
    tensors.check_names(request.shapes, placeholders)
    read = {name.partition(":")[0].lstrip("^") for node in definition.node for name in node.input}
    outputs = [f"{node.name}:0" for node in definition.node if node.name not in read and node.op != "NoOp"]
    inputs = [f"{name}:0" for name in request.shapes]
    pruned = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    function = pruned.prune([pruned.graph.get_tensor_by_name(name) for name in inputs],
                            [pruned.graph.get_tensor_by_name(name) for name in outputs])  # fmt: skip
    graph, _ = tf2onnx.convert.from_graph_def(
        definition, input_names=inputs, output_names=outputs, opset=tensors.OPSET,
        inputs_as_nchw=None, shape_override={name: [None, *shape[1:]] for name, shape in
                                             zip(inputs, request.shapes.values(), strict=True)},
    )  # fmt: skip
    for found, name in zip(graph.graph.input, request.shapes, strict=True):
        _rename(graph, found.name, name)

    def original(given: tensors.Inputs) -> list[Any]:
        return [part.numpy() for part in function(*(tf.constant(given[name]) for name in request.shapes))]

    return original, graph


def _rename(model: Any, old: str, new: str) -> None:
    """An input without TensorFlow's ``:0``, as DataInputConfig calls it."""
    for found in model.graph.input:
        found.name = new if found.name == old else found.name
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = new


def _spec(name: str, declared: tuple[int, ...], expected: Any) -> Any:
    if not expected.shape.is_compatible_with(declared):
        raise CompilationError(
            f"DataInputConfig declares {list(declared)} for {name!r}, the model takes "
            f"{expected.shape.as_list()}"
        )
    return tf.TensorSpec(expected.shape, expected.dtype, name=name)


def main() -> int:
    """Run the job below /opt/ml."""
    return run(compile_model, lambda path: path.suffix == ".pb" and path.name != "fingerprint.pb",
               f"{SAVED_MODEL} or frozen *.pb")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
