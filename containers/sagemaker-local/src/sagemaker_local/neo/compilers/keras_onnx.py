"""Keras → ONNX: a whole model in a file, by TensorFlow."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from . import tensorflow_onnx, tensors
from .job import Compiled, run
from .request import CompilationError, Request, Shape

import keras  # isort: skip  (after tensorflow, which quietens itself first)
import tensorflow as tf  # isort: skip
import tf2onnx  # isort: skip

SUFFIXES = (".h5", ".keras")


def compile_model(path: Path, request: Request) -> Compiled:
    """Load, convert, compare."""
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # of many kinds
        raise CompilationError(
            f"{path.name} is not a Keras model that Keras {keras.__version__} reads "
            f"({type(error).__name__}: {error}); save the whole model with model.save(), without layers of "
            "your own"
        ) from error
    inputs = {_name(found): found for found in model.inputs}
    tensors.check_names(request.shapes, list(inputs))
    shapes = {name: _shape(name, shape, inputs[name]) for name, shape in request.shapes.items()}
    specs = [tf.TensorSpec(inputs[name].shape, inputs[name].dtype, name=name) for name in shapes]
    order = [list(inputs).index(name) for name in request.shapes]

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator, unused-ignore]
    def call(*given: Any) -> Any:
        in_order = [given[order.index(position)] for position in range(len(given))]
        return tf.nest.flatten(model(in_order if len(in_order) > 1 else in_order[0], training=False))

    graph, _ = tf2onnx.convert.from_function(call, input_signature=specs, opset=tensors.OPSET)

    def original(values: tensors.Inputs) -> list[Any]:
        return [part.numpy() for part in call(*(tf.constant(values[name]) for name in request.shapes))]

    return tensorflow_onnx.compiled(original, graph, dataclasses.replace(request, shapes=shapes))


def _name(found: Any) -> str:
    return str(found.name).partition(":")[0]


def _shape(name: str, declared: Shape, found: Any) -> Shape:
    """In the model's order of axes; Neo has images declared with their channels first, whatever that is.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/neo-compilation-preparing-model.html
    """
    own = tf.TensorShape(found.shape)
    channels_last = (declared[0], *declared[2:], declared[1]) if len(declared) > 2 else declared
    for shape in (declared, channels_last):
        if own.is_compatible_with(shape):
            return shape
    raise CompilationError(
        f"DataInputConfig declares {list(declared)} for {name!r}, the model takes {own.as_list()}"
    )


def main() -> int:
    """Run the job below /opt/ml."""
    return run(
        compile_model, lambda path: path.suffix in SUFFIXES, " or ".join(f"*{end}" for end in SUFFIXES)
    )


if __name__ == "__main__":
    sys.exit(main())
