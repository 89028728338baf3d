"""Rows in JSON and JSON lines: SageMaker's and TensorFlow Serving's ``instances``, and plain lists.

=====================================  ==============
Request                                 Answer
=====================================  ==============
``{"instances": [[1, 2], [3, 4]]}``      ``{"predictions": […]}``
``{"instances": [{"features": [1, 2]}]}``  the same
``[[1, 2], [3, 4]]``, ``[1, 2]``           the same
one JSON value a line                    one a line
=====================================  ==============
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from model_serving.errors import BadRequest

SHAPES = '{"instances": [[1.0, 2.0]]}, {"instances": [{"features": [1.0, 2.0]}]} or [[1.0, 2.0]]'


def parse(body: bytes) -> Any:
    """The rows of a document, as lists.

    Raises:
        BadRequest: it is no JSON, or holds no rows.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    rows = document.get("instances", document.get("inputs")) if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise BadRequest(f"the JSON holds no rows; send {SHAPES}")
    return rows


def parse_lines(body: bytes) -> list[Any]:
    """One row a line.

    Raises:
        BadRequest: a line is no JSON.
    """
    rows = []
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            try:
                rows.append(orjson.loads(line))
            except orjson.JSONDecodeError as error:
                raise BadRequest(f"line {number} is not JSON: {error}") from None
    return rows


def values(rows: list[Any], columns: tuple[str, ...]) -> list[Any]:
    """Rows without their names: of ``{"features": […]}``, ``{"data": {"features": …}}`` or named columns."""
    if not any(isinstance(row, dict) for row in rows):
        return rows
    return [_values(number, row, columns) for number, row in enumerate(rows, start=1)]


def _values(number: int, row: Any, columns: tuple[str, ...]) -> Any:
    if not isinstance(row, dict):
        return row
    if columns and all(name in row for name in columns):
        return [row[name] for name in columns]
    found: Any = row
    for name in ("data", "features", "values"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    if isinstance(found, dict):
        missing = [name for name in columns if name not in found]
        wanted = f"has no {missing[0]!r}" if missing else 'has no "features"'
        raise BadRequest(f"row {number} {wanted}; send {SHAPES}")
    return found


def write(answers: NDArray[Any]) -> bytes:
    """``{"predictions": […]}``."""
    return b'{"predictions":' + _dump(answers) + b"}"


def write_lines(answers: NDArray[Any]) -> bytes:
    """One JSON value a line."""
    if answers.dtype.kind in "fiub" and answers.ndim <= 2:
        text = _dump(answers)
        if answers.ndim == 2:
            return b"[" + text[2:-2].replace(b"],[", b"]\n[") + b"]\n" if len(answers) else b""
        return text[1:-1].replace(b",", b"\n") + b"\n" if len(answers) else b""
    return b"".join(_dump(row) + b"\n" for row in answers)


def _dump(answers: Any) -> bytes:
    if isinstance(answers, np.ndarray):
        answers = np.ascontiguousarray(answers) if answers.dtype.kind in "fiub" else answers.tolist()
    text: bytes = orjson.dumps(answers, option=orjson.OPT_SERIALIZE_NUMPY, default=_plain)
    return text


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
