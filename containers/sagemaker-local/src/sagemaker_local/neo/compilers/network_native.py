"""Networks of dense layers as programs in native code, read from their ONNX graph.

Such a network is small enough that calling a runtime costs more than its arithmetic; convolutions and what
else a graph holds are left to ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from .program import NotCoveredError, Program, Value

Constants = Mapping[str, NDArray[Any]]
ACTIVATIONS = {"Relu": "relu", "Sigmoid": "expit", "Tanh": "tanh", "Exp": "exp"}
ARITHMETIC = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide"}
SAME_VALUES = ("Flatten", "Identity", "Dropout")


def program(graph: bytes) -> Program:
    """A graph with one input and one output, both tables of single precision, as a program.

    Raises:
        NotCoveredError: naming what no step does.
    """
    model = onnx.load_model_from_string(graph).graph
    constants = {each.name: numpy_helper.to_array(each) for each in model.initializer}
    inputs = [each for each in model.input if each.name not in constants]
    if len(inputs) != 1 or len(model.output) != 1:
        raise NotCoveredError("a network with several inputs or outputs is no native program")
    for each in (*inputs, *model.output):
        if each.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            raise NotCoveredError(f"{each.name} is not of single precision")
    shape = [size.dim_value for size in inputs[0].type.tensor_type.shape.dim]
    if len(shape) != 2 or shape[1] < 1:
        raise NotCoveredError(f"an input of shape {shape} is not a table")
    made = Program(shape[1], kind="float")
    values: dict[str, Value] = {inputs[0].name: made.rows}
    read = [name for node in model.node for name in node.input]
    for node in model.node:
        if any(read.count(name) > 1 for name in node.output):
            raise NotCoveredError("a value that several parts of a network read is no native step")
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            continue
        values[node.output[0]] = _added(made, node, values, constants)
    made.answer(values[model.output[0].name])
    return made


def _added(made: Program, node: Any, values: Mapping[str, Value], constants: Constants) -> Value:
    given = [name for name in node.input if name in values]
    if len(given) != 1 or node.input[0] != given[0]:
        raise NotCoveredError(f"{node.op_type} of other than one value and constants is no native step")
    value = values[given[0]]
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    fixed = [constants[name] for name in node.input[1:] if name in constants]
    kind = node.op_type
    if kind in SAME_VALUES and attributes.get("axis", 1) == 1:
        return value
    if kind in ACTIVATIONS:
        return made.in_place(ACTIVATIONS[kind], value)
    if kind == "Softmax" and attributes.get("axis", -1) in (1, -1):
        return made.within_row("softmax", value)
    if kind in ARITHMETIC and fixed and _is_a_row(fixed[0], value.width):
        return made.columnwise(ARITHMETIC[kind], value, fixed[0].ravel(), float(kind == "Div"))
    if kind in ("MatMul", "Gemm") and fixed and fixed[0].ndim == 2:
        return _product(made, value, fixed, attributes)
    if kind == "BatchNormalization" and len(fixed) == 4:
        scale, offset, mean, variance = (each.astype(np.float64) for each in fixed)
        factor = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
        made.columnwise("subtract", value, mean)
        made.columnwise("multiply", value, factor)
        return made.columnwise("add", value, offset)
    raise NotCoveredError(f"{kind} is not one of the native steps")


def _is_a_row(constant: NDArray[Any], width: int) -> bool:
    """Whether a constant is one number, or one a column."""
    return constant.size in (1, width) and constant.shape[-1:] in ((), (constant.size,))


def _product(made: Program, value: Value, fixed: list[NDArray[Any]], attributes: Mapping[str, Any]) -> Value:
    plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    if any(attributes.get(name, usual) != usual for name, usual in plain.items()):
        raise NotCoveredError(f"a product with {dict(attributes)} is not one of the native steps")
    weights = fixed[0] if attributes.get("transB", 0) else fixed[0].T
    offsets = fixed[1] if len(fixed) > 1 else np.zeros(len(weights))
    if offsets.size not in (1, len(weights)):
        raise NotCoveredError("a product with an offset a row is not one of the native steps")
    return made.linear(value, weights, np.broadcast_to(offsets.ravel(), (len(weights),)))
