"""The user's functions as one handler of requests.

``model_fn(model_dir)`` and ``predict_fn(data, model)`` with ``input_fn(body, content_type)`` and
``output_fn(prediction, accept)``, or ``transform_fn(model, body, content_type, accept)`` in place of the last
three, as in AWS's toolkits. Each has a default: a compiled model is loaded, bodies are read and answers
written by the table in :mod:`content`, ``model.predict(data)`` is called.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from model_serving import content
from model_serving.errors import BadRequest, StartError

FUNCTIONS = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
SCRIPT = "code/inference.py"
CACHED_NEGOTIATIONS = 256


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What a request's headers come to.

    Attributes:
        content_type: Of its body.
        accept: Of the answer.
        header: The same as a header's value.
    """

    content_type: str
    accept: str
    header: bytes


@dataclass(frozen=True, slots=True)
class Functions:
    """The user's functions, those that there are, and what the module says of its content types."""

    module: str
    model_fn: Callable[[str], Any] | None = None
    input_fn: Callable[[bytes, str], Any] | None = None
    predict_fn: Callable[[Any, Any], Any] | None = None
    output_fn: Callable[[Any, str], Any] | None = None
    transform_fn: Callable[[Any, bytes, str, str], Any] | None = None
    content_types: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()


def find(module: str, model_dir: Path, program_dir: Path) -> Functions:
    """The functions of a module in the program's folder, else of ``code/inference.py`` in the model's.

    Raises:
        StartError: the forms are mixed.
    """
    sys.path.insert(0, str(program_dir))
    if importlib.util.find_spec(module) is not None:
        return functions_of(importlib.import_module(module))
    script = model_dir / SCRIPT
    if script.is_file():
        sys.path.insert(0, str(script.parent))
        return functions_of(importlib.import_module(script.stem))
    return Functions(module="none")


def functions_of(module: ModuleType) -> Functions:
    """What a module defines.

    Raises:
        StartError: ``transform_fn`` and functions that it takes the place of.
    """
    found = {name: getattr(module, name) for name in FUNCTIONS if callable(getattr(module, name, None))}
    beside = [name for name in ("input_fn", "predict_fn", "output_fn") if name in found]
    if "transform_fn" in found and beside:
        raise StartError(
            f"{module.__file__}: transform_fn and {', '.join(beside)} exclude each other: transform_fn "
            "reads, predicts and writes; keep one form"
        )
    return Functions(
        module=module.__name__,
        **found,
        content_types=tuple(getattr(module, "content_types", ())),
        accepts=tuple(getattr(module, "accepts", ())),
    )


class Handler:
    """A loaded model that answers bodies; one for each model.

    Attributes:
        model: What ``model_fn`` gave.
        batchable: Whether rows of several requests can be predicted together.
    """

    def __init__(
        self,
        functions: Functions,
        model: Any,
        columns: tuple[str, ...] = (),
        read_csv: Callable[[bytes], Any] | None = None,
    ) -> None:
        self.functions = functions
        self.model = model
        named = columns or tuple(getattr(model, "columns", None) or ())
        self.shape = content.Shape(_features(model), named, read_csv)
        self.batchable = functions.transform_fn is None and not self.shape.columns
        self._negotiations: dict[tuple[bytes, bytes], Negotiated] = {}
        self._predict = functions.predict_fn or _default_predict(model, functions)

    def negotiate(self, content_type: bytes, accept: bytes) -> Negotiated:
        """Decide by the headers; the same ones are only looked at once.

        Raises:
            Refusal: 415 or 406.
        """
        key = (content_type, accept)
        if (known := self._negotiations.get(key)) is not None:
            return known
        said, wanted = content_type.decode("latin-1"), accept.decode("latin-1")
        functions = self.functions
        if functions.input_fn or functions.transform_fn:
            given = functions.content_types
            read = content.readable(said, given) if given else said.partition(";")[0].strip()
        else:
            read = content.readable(said, functions.content_types or content.installed())
        if functions.transform_fn and not functions.accepts:
            write = wanted.partition(",")[0].strip() or read
        else:
            write = content.writable(wanted, read, functions.accepts or content.installed())
        if len(self._negotiations) >= CACHED_NEGOTIATIONS:
            self._negotiations.clear()
        self._negotiations[key] = found = Negotiated(read, write, write.encode("latin-1"))
        return found

    def answer(self, body: bytes, negotiated: Negotiated) -> tuple[bytes, bytes]:
        """Body and content type of the answer.

        Raises:
            Refusal: the body cannot be answered.
        """
        transform = self.functions.transform_fn
        if transform is not None:
            return _body(transform(self.model, body, negotiated.content_type, negotiated.accept), negotiated)
        return self.write(self.predict(self.read(body, negotiated)), negotiated)

    def read(self, body: bytes, negotiated: Negotiated) -> Any:
        """Rows of a body."""
        if self.functions.input_fn is None:
            return content.BY_NAME[negotiated.content_type].read(body, self.shape)
        try:
            return self.functions.input_fn(body, negotiated.content_type)
        except ValueError as error:
            raise BadRequest(str(error)) from error

    def predict(self, rows: Any) -> Any:
        """The model's answer to rows."""
        return self._predict(rows, self.model)

    def write(self, answers: Any, negotiated: Negotiated) -> tuple[bytes, bytes]:
        """Body and content type of an answer."""
        if self.functions.output_fn is None:
            return content.write(answers, negotiated.accept), negotiated.header
        return _body(self.functions.output_fn(answers, negotiated.accept), negotiated)


def load(functions: Functions, model_dir: Path, columns: tuple[str, ...] = ()) -> Handler:
    """Load a model; ``model_fn`` may take a second argument, which is None."""
    model_fn = functions.model_fn
    if model_fn is None:
        from model_serving import compiled

        model = compiled.load(model_dir)
        return Handler(functions, model, columns, model.read_csv)
    try:
        wanted = len(inspect.signature(model_fn).parameters)
    except ValueError:
        wanted = 1
    arguments: list[Any] = [str(model_dir), None][: max(1, min(wanted, 2))]
    return Handler(functions, model_fn(*arguments), columns)


def _features(model: Any) -> int | None:
    for name in ("features", "n_features_in_"):
        if isinstance(found := getattr(model, name, None), int):
            return found
    return None


def _default_predict(model: Any, functions: Functions) -> Callable[[Any, Any], Any]:
    if functions.transform_fn is not None:
        return lambda data, model: None
    method = getattr(model, "predict", None) or (model if callable(model) else None)
    if method is None:
        raise StartError(
            f"the model is a {type(model).__name__} without predict(): write predict_fn(data, model) in "
            f"{functions.module}.py"
        )
    return lambda data, model: method(data)


def _body(answer: Any, negotiated: Negotiated) -> tuple[bytes, bytes]:
    """Bytes and content type of what a user's function gave: a body, or a body and its content type."""
    header = negotiated.header
    if isinstance(answer, tuple) and len(answer) == 2:
        answer, header = answer[0], str(answer[1]).encode("latin-1")
    if isinstance(answer, str):
        return answer.encode(), header
    return bytes(answer), header
