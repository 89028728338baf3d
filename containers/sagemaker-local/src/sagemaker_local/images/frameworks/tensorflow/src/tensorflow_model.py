"""TensorFlow's inference image: a SavedModel as TensorFlow Serving answers, and ``code/inference.py``.

Source: https://sagemaker.readthedocs.io/en/stable/frameworks/tensorflow/deploying_tensorflow_serving.html
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_server.model import CSV, JSON, Answer, Model, as_bytes, media_type
from saved_model import SavedModel

JSON_LINES = ("application/jsonlines", "application/x-jsonlines", "application/jsons")
REQUEST_KEYS = {"instances", "inputs", "examples"}


@dataclass(frozen=True)
class Context:
    """What a script's handlers get."""

    model_name: str
    model_version: str
    method: str
    rest_uri: str
    grpc_port: str
    custom_attributes: str
    request_content_type: str
    accept_header: str
    content_length: int


class ServingResponse:
    """TensorFlow Serving's response, as a script's output_handler reads it (like one of `requests`)."""

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        self.content = answer.body
        self.text = answer.body.decode()
        self.headers = {"Content-Type": answer.content_type}

    def json(self) -> Any:
        """The body."""
        return json.loads(self.content)


class TensorFlowModel:
    """A SavedModel and its script, if it has one."""

    def __init__(self, model_dir: Path) -> None:
        self.model = SavedModel(model_dir)
        self.script = _script(model_dir)

    def rest(self, path: str, body: bytes) -> Answer:
        """TensorFlow Serving's own interface, for scripts that call it."""
        if not path.startswith("/v1/models/") or not path.endswith(":predict"):
            return Answer(b'{"error": "only :predict is served"}', JSON, 404)
        return self.model.answer(body)

    def answer(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One invocation."""
        context = self._context(body, headers)
        if hasattr(self.script, "handler"):
            given, content_type = self.script.handler(io.BytesIO(body), context)
            return Answer(as_bytes(given), content_type)
        request: object = body
        if hasattr(self.script, "input_handler"):
            request = self.script.input_handler(io.BytesIO(body), context)
        else:
            try:
                request = to_request(body, context.request_content_type)
            except ValueError as error:
                return Answer(json.dumps({"error": str(error)}).encode(), JSON, 400)
        answer = self.model.answer(as_bytes(request))
        if hasattr(self.script, "output_handler"):
            given, content_type = self.script.output_handler(ServingResponse(answer), context)
            return Answer(as_bytes(given), content_type)
        return answer

    def _context(self, body: bytes, headers: Mapping[str, str]) -> Context:
        port = os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")
        return Context(
            model_name=self.model.name,
            model_version=self.model.version,
            method="predict",
            rest_uri=f"http://127.0.0.1:{port}/v1/models/{self.model.name}:predict",
            grpc_port="",
            custom_attributes=headers.get("x-amzn-sagemaker-custom-attributes", ""),
            request_content_type=media_type(headers.get("content-type"), JSON),
            accept_header=headers.get("accept") or JSON,
            content_length=len(body),
        )


def to_request(body: bytes, content_type: str) -> bytes:
    """A request of TensorFlow Serving, of what the image takes without a script.

    Raises:
        ValueError: the type is not supported, or the body is not of it.
    """
    text = body.decode()
    if content_type in JSON_LINES:
        return _instances([json.loads(line) for line in text.splitlines() if line.strip()])
    if content_type == CSV:
        return _instances([[_number(cell) for cell in row] for row in csv.reader(io.StringIO(text)) if row])
    if content_type != JSON:
        raise ValueError(f"Unsupported Media Type: {content_type}")
    content = json.loads(text)
    if isinstance(content, dict) and REQUEST_KEYS & set(content):
        return body
    nested = isinstance(content, list) and bool(content) and isinstance(content[0], list | dict)
    return _instances(content if nested else [content])


def _instances(instances: list[Any]) -> bytes:
    return json.dumps({"instances": instances}).encode()


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _script(model_dir: Path) -> Any:
    code = model_dir / "code"
    if not (code / "inference.py").is_file():
        return None
    for directory in (code, code / "lib"):
        sys.path.insert(0, str(directory))
    return importlib.import_module("inference")


def load(model_dir: Path) -> Model:
    """The SavedModel below the directory."""
    return TensorFlowModel(model_dir)
