"""A SavedModel behind TensorFlow Serving's REST interface: https://www.tensorflow.org/tfx/serving/api_rest#predict_api."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from model_server.model import JSON, Answer

SIGNATURE = "serving_default"


class BadRequest(ValueError):
    """The request cannot be answered; the message says why."""


class SavedModel:
    """The newest version below a directory.

    Args:
        model_dir: Holds ``<n>/saved_model.pb``, at any depth (``export/Servo/<n>`` is usual).
    """

    def __init__(self, model_dir: Path) -> None:
        directory = newest(model_dir)
        self.name = "model"
        self.version = directory.name
        self._loaded = tf.saved_model.load(str(directory))
        self._signatures = self._loaded.signatures
        if not self._signatures:
            raise ValueError(
                f"{directory} has no signatures; save it with model.export or tf.saved_model.save"
            )

    def answer(self, body: bytes) -> Answer:
        """Answer a predict request; mistakes are answered with 400 as by TensorFlow Serving."""
        try:
            return Answer(json.dumps(self.predict(json.loads(body)), default=_plain).encode())
        except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
            return Answer(json.dumps({"error": str(error)}).encode(), JSON, 400)

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        """``instances`` → ``predictions``, or ``inputs`` → ``outputs``.

        Raises:
            BadRequest: it has neither, or does not fit the signature.
        """
        name = request.get("signature_name", SIGNATURE)
        if name not in self._signatures:
            raise BadRequest(
                f"Serving signature name: '{name}' not found; there are {list(self._signatures)}"
            )
        function = self._signatures[name]
        wanted: dict[str, tf.TensorSpec] = function.structured_input_signature[1]
        if "instances" in request:
            columns = _columns(request["instances"], list(wanted))
        elif "inputs" in request:
            inputs = request["inputs"]
            columns = (
                inputs
                if isinstance(inputs, dict) and set(inputs) <= set(wanted)
                else {next(iter(wanted)): inputs}
            )
        else:
            raise BadRequest("Missing 'inputs' or 'instances' key")
        if set(columns) != set(wanted):
            raise BadRequest(f"The signature's inputs are {sorted(wanted)}, the request's {sorted(columns)}")
        tensors = {name: _tensor(columns[name], specification) for name, specification in wanted.items()}
        outputs = {name: value.numpy() for name, value in function(**tensors).items()}
        if "inputs" in request:
            return {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}
        return {"predictions": _rows(outputs)}


def newest(model_dir: Path) -> Path:
    """The directory of the highest version.

    Raises:
        FileNotFoundError: there is none.
    """
    found = [path.parent for path in model_dir.rglob("saved_model.pb")]
    versions = [path for path in found if path.name.isdigit()]
    if not versions:
        raise FileNotFoundError(f"no SavedModel bundle (<version>/saved_model.pb) found below {model_dir}")
    return max(versions, key=lambda path: int(path.name))


def _columns(instances: Any, names: list[str]) -> dict[str, Any]:
    if not isinstance(instances, list) or not instances:
        raise BadRequest("'instances' must be a list of at least one instance")
    first = instances[0]
    if isinstance(first, dict) and set(first) != {"b64"}:
        if any(not isinstance(each, dict) or set(each) != set(first) for each in instances):
            raise BadRequest("all instances must have the same names")
        return {name: [each[name] for each in instances] for name in first}
    if len(names) != 1:
        raise BadRequest(f"the model has {len(names)} inputs, so instances must name them: {names}")
    return {names[0]: instances}


def _tensor(value: Any, specification: tf.TensorSpec) -> tf.Tensor:
    if specification.dtype == tf.string:
        return tf.constant(_decoded(value))
    return tf.convert_to_tensor(np.asarray(value, dtype=specification.dtype.as_numpy_dtype))


def _decoded(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"])
    return [_decoded(each) for each in value] if isinstance(value, list) else value


def _rows(outputs: dict[str, np.ndarray]) -> list[Any]:
    if len(outputs) == 1:
        return list(next(iter(outputs.values())))
    return [dict(zip(outputs, values, strict=True)) for values in zip(*outputs.values(), strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    return value.tolist() if hasattr(value, "tolist") else str(value)
