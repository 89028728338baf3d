"""Content types as a table: how each is read into rows and how answers are written in it."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_serving import csv_rows, json_rows
from model_serving.errors import BadRequest, NotAcceptable, UnsupportedContentType


@dataclass(frozen=True, slots=True)
class Shape:
    """What the model takes.

    Attributes:
        features: Values of a row; None where the model does not say.
        columns: Names, where the model wants a DataFrame.
        read_csv: The model's own way to read CSV; it gives None for what the usual way has to look at.
    """

    features: int | None = None
    columns: tuple[str, ...] = ()
    read_csv: Callable[[bytes], Any] | None = None


@dataclass(frozen=True, slots=True)
class ContentType:
    """One line of the table.

    Attributes:
        read: From a body to rows.
        write: From an answer to a body.
        needs: A library that has to be installed.
    """

    name: str
    read: Callable[[bytes, Shape], Any]
    write: Callable[[NDArray[Any]], bytes]
    needs: str = ""

    @property
    def installed(self) -> bool:
        """Whether the library is there; it is imported when the first such body comes."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None


def _array(rows: Any, shape: Shape, what: str = "row") -> Any:
    """Rows as one contiguous array of numbers, all as wide as the model takes."""
    try:
        array = np.array(rows, dtype=np.float64)
    except (ValueError, TypeError):
        raise BadRequest(_complaint(rows, shape.features, what)) from None
    if array.ndim == 0 or array.size == 0:
        raise BadRequest(f"there are no {what}s")
    if array.ndim == 1:
        array = array.reshape(1, -1) if np.ndim(rows[0]) == 0 else array.reshape(len(rows), -1)
    if shape.features is not None and array.ndim == 2 and array.shape[1] != shape.features:
        raise BadRequest(f"{what} 1 has {array.shape[1]} values, the model takes {shape.features}")
    if not np.isfinite(array).all():
        raise BadRequest(_complaint(rows, shape.features, what))
    return array


def _complaint(rows: Any, width: int | None, what: str) -> str:
    """Which row is wrong, and why."""
    table = rows if all(isinstance(row, list) for row in rows) else [rows]
    width = len(table[0]) if width is None else width
    for number, row in enumerate(table, start=1):
        if len(row) != width:
            return f"{what} {number} has {len(row)} values, the model takes {width}"
        for column, value in enumerate(row, start=1):
            if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
                return f"{what} {number}, value {column}: {value!r:.40} is not a finite number"
    return f"the {what}s are not lists of numbers of one length"


def _frame(rows: Any, shape: Shape) -> Any:
    import pandas

    if any(len(row) != len(shape.columns) for row in rows):
        number = next(n for n, row in enumerate(rows, 1) if len(row) != len(shape.columns))
        raise BadRequest(
            f"row {number} has {len(rows[number - 1])} values, the model takes {len(shape.columns)}: "
            f"{', '.join(shape.columns)}"
        )
    return pandas.DataFrame(rows, columns=list(shape.columns))


def _read_csv(body: bytes, shape: Shape) -> Any:
    if not shape.columns:
        rows = None if shape.read_csv is None else shape.read_csv(body)
        return csv_rows.parse(body, shape.features) if rows is None else rows
    import pandas

    try:
        frame = pandas.read_csv(io.BytesIO(body), header=None)
    except (ValueError, pandas.errors.ParserError) as error:
        raise BadRequest(f"the body is not CSV: {error}") from None
    if len(frame.columns) != len(shape.columns):
        raise BadRequest(
            f"row 1 has {len(frame.columns)} values, the model takes {len(shape.columns)}: "
            f"{', '.join(shape.columns)}"
        )
    frame.columns = list(shape.columns)
    return frame


def _read_rows(rows: list[Any], shape: Shape) -> Any:
    if not rows:
        raise BadRequest(f"there are no rows; send {json_rows.SHAPES}")
    plain = json_rows.values(rows, shape.columns)
    return _frame(plain, shape) if shape.columns else _array(plain, shape)


def _read_npy(body: bytes, shape: Shape) -> Any:
    try:
        rows = np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BadRequest(f"the body is not an .npy file of numbers: {error}") from None
    return _frame(rows.tolist(), shape) if shape.columns else _array(rows, shape)


def _write_npy(answers: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, answers, allow_pickle=False)
    return out.getvalue()


def _read_parquet(body: bytes, shape: Shape) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(body))
    except (pyarrow.ArrowException, OSError) as error:
        raise BadRequest(f"the body is not parquet: {error}") from None
    if shape.columns:
        missing = [name for name in shape.columns if name not in table.column_names]
        if missing:
            raise BadRequest(f"the table has no column {missing[0]!r}")
        return table.select(list(shape.columns)).to_pandas()
    try:
        rows = np.column_stack([column.to_numpy().astype(np.float64) for column in table.columns])
    except (ValueError, TypeError) as error:
        raise BadRequest(f"the table's columns are not all numbers: {error}") from None
    return _array(rows, shape)


def _write_parquet(answers: NDArray[Any]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = answers.reshape(len(answers), -1)
    names = ["prediction"] if table.shape[1] == 1 else [f"prediction_{n}" for n in range(table.shape[1])]
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(dict(zip(names, table.T.copy(), strict=True))), out)
    return out.getvalue()


def _read_recordio(body: bytes, shape: Shape) -> Any:
    from model_serving import recordio

    rows = [row.tolist() for row in recordio.parse(body)]
    return _frame(rows, shape) if shape.columns else _array(rows, shape, "record")


def _write_recordio(answers: NDArray[Any]) -> bytes:
    from model_serving import recordio

    return recordio.write(answers)


CSV = "text/csv"
JSON = "application/json"
TABLE = (
    ContentType(CSV, _read_csv, csv_rows.write),
    ContentType(JSON, lambda body, shape: _read_rows(json_rows.parse(body), shape), json_rows.write),
    ContentType(
        "application/jsonlines",
        lambda body, shape: _read_rows(json_rows.parse_lines(body), shape),
        json_rows.write_lines,
    ),
    ContentType("application/x-npy", _read_npy, _write_npy),
    ContentType("application/x-parquet", _read_parquet, _write_parquet, "pyarrow"),
    ContentType("application/x-recordio-protobuf", _read_recordio, _write_recordio),
)
BY_NAME = {line.name: line for line in TABLE}
ALIASES = {
    "application/x-jsonlines": "application/jsonlines",
    "application/jsonl": "application/jsonlines",
    "application/parquet": "application/x-parquet",
    "application/vnd.apache.parquet": "application/x-parquet",
}


def media_type(header: str) -> str:
    """``text/csv`` of ``Text/CSV; charset=utf-8``."""
    name = header.partition(";")[0].strip().lower()
    return ALIASES.get(name, name)


def installed() -> tuple[str, ...]:
    """Content types that can be read and written here."""
    return tuple(line.name for line in TABLE if line.installed)


def readable(header: str, known: Iterable[str]) -> str:
    """The content type of a request.

    Raises:
        UnsupportedContentType: it is none of those known.
    """
    name = media_type(header)
    if name in known:
        return name
    raise UnsupportedContentType(f"content type {header!r} is not supported; send {', '.join(known)}")


def writable(accept: str, content_type: str, known: Iterable[str]) -> str:
    """The content type of an answer: the first that the caller accepts, the request's own where all are.

    Raises:
        NotAcceptable: the caller accepts none of those known.
    """
    names = list(known)
    for part in accept.split(",") if accept.strip() else ["*/*"]:
        name = media_type(part)
        if name in names:
            return name
        if name in ("*/*", ""):
            return content_type if content_type in names else names[0]
        if name.endswith("/*"):
            group = [known_name for known_name in names if known_name.startswith(name[:-1])]
            if group:
                return content_type if content_type in group else group[0]
    raise NotAcceptable(f"accept {accept!r} is not supported; the answer is {' or '.join(names)}")


def write(answers: Any, content_type: str) -> bytes:
    """An answer's body.

    Raises:
        NotAcceptable: there is no such content type.
    """
    line = BY_NAME.get(content_type)
    if line is None or not line.installed:
        raise NotAcceptable(
            f"accept {content_type!r} is not supported; the answer is {' or '.join(installed())}"
        )
    if type(answers) is not np.ndarray or not answers.ndim:
        answers = np.atleast_1d(np.asarray(answers))
    return line.write(answers)
