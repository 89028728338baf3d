"""The table of content types: each is read into the same rows, a wrong body is told where it is wrong."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from model_serving import content, recordio
from model_serving.content import Shape
from model_serving.errors import BadRequest, NotAcceptable, Refusal, UnsupportedContentType

TWO_ROWS = [[1.0, 2.5], [3.0, -4.0]]


def npy(rows: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array(rows))
    return out.getvalue()


def parquet(rows: Any, names: tuple[str, ...] = ("a", "b")) -> bytes:
    out = io.BytesIO()
    pd.DataFrame(rows, columns=list(names)).to_parquet(out)
    return out.getvalue()


def record(field: int, content_: bytes) -> bytes:
    """One record with a tensor ``values``; 2: float32, 3: float64, 7: int32."""
    value = recordio._field(field, content_)
    entry = recordio._field(1, b"values") + recordio._field(2, value)
    message = recordio._field(1, entry)
    return struct.pack("<II", recordio.MAGIC, len(message)) + message + b"\0" * (-len(message) % 4)


def floats(row: list[float], dtype: str = "<f4") -> bytes:
    return recordio._field(1, np.array(row, dtype).tobytes())


BODIES = [
    ("text/csv", b"1,2.5\n3,-4\n"),
    ("application/json", b'{"instances": [[1, 2.5], [3, -4]]}'),
    ("application/json", b'{"instances": [{"features": [1, 2.5]}, {"features": [3, -4]}]}'),
    ("application/json", b'{"instances": [{"data": {"features": {"values": [1, 2.5]}}}, [3, -4]]}'),
    ("application/json", b'{"signature_name": "x", "inputs": [[1, 2.5], [3, -4]]}'),
    ("application/json", b"[[1, 2.5], [3, -4]]"),
    ("application/jsonlines", b"[1, 2.5]\n[3, -4]\n"),
    ("application/jsonlines", b'{"features": [1, 2.5]}\n{"features": [3, -4]}'),
    ("application/x-npy", npy(TWO_ROWS)),
    ("application/x-parquet", parquet(TWO_ROWS)),
    ("application/x-recordio-protobuf", record(2, floats([1, 2.5])) + record(2, floats([3, -4]))),
    (
        "application/x-recordio-protobuf",
        record(3, floats([1, 2.5], "<f8")) + record(3, floats([3, -4], "<f8")),
    ),
]


@pytest.mark.parametrize(("name", "body"), BODIES)
def test_every_type_is_read_into_the_same_array(name: str, body: bytes) -> None:
    rows = content.BY_NAME[name].read(body, Shape(2))
    assert rows.tolist() == TWO_ROWS
    assert rows.dtype == np.float64
    assert rows.flags.c_contiguous


def test_whole_numbers_of_recordio() -> None:
    minus_one = b"\xff" * 9 + b"\x01"
    assert recordio.parse(record(7, recordio._field(1, b"\x05" + minus_one)))[0].tolist() == [5, -1]


@pytest.mark.parametrize("name", sorted({name for name, _ in BODIES}))
@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff\x80", b'{"a": [', b"1,2,3\n", b"[]", b"nan,1\n", b"[1, null]"]
)
def test_every_type_refuses_what_it_is_not(name: str, body: bytes) -> None:
    with pytest.raises(BadRequest):
        content.BY_NAME[name].read(body, Shape(2))


@pytest.mark.parametrize(
    ("name", "body", "complaint"),
    [
        ("application/json", b"[[1, 2], [3]]", "row 2 has 1 values, the model takes 2"),
        ("application/json", b'[[1, 2], [3, "x"]]', "row 2, value 2: 'x' is not a finite number"),
        ("application/json", b"[1, 2, 3]", "row 1 has 3 values, the model takes 2"),
        ("application/json", b'{"rows": [[1, 2]]}', 'the JSON holds no rows; send {"instances"'),
        ("application/json", b'[{"x": 1}]', 'row 1 has no "features"'),
        ("application/jsonlines", b"[1, 2]\n[3, ]\n", "line 2 is not JSON"),
        ("application/x-npy", npy([[1.0, 2.0, 3.0]]), "row 1 has 3 values, the model takes 2"),
        ("application/x-npy", npy([[None, "x"]]), "not an .npy file of numbers"),
        ("application/x-parquet", parquet([["a", "b"]]), "columns are not all numbers"),
        ("application/x-recordio-protobuf", record(2, floats([1, 2]))[:-4], "record 1 is cut off"),
        (
            "application/x-recordio-protobuf",
            record(2, floats([1])),
            "record 1 has 1 values, the model takes 2",
        ),
    ],
)
def test_the_refusal_names_the_place(name: str, body: bytes, complaint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        content.BY_NAME[name].read(body, Shape(2))
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("text/csv", b"1,2.5\n3,-4\n"),
        ("application/json", b'{"instances": [{"b": 2.5, "a": 1}, {"a": 3, "b": -4}]}'),
        ("application/json", b"[[1, 2.5], [3, -4]]"),
        ("application/x-parquet", parquet([[2.5, 1.0], [-4.0, 3.0]], ("b", "a"))),
    ],
)
def test_a_model_that_wants_names_gets_a_frame(name: str, body: bytes) -> None:
    frame = content.BY_NAME[name].read(body, Shape(2, ("a", "b")))
    assert frame.to_dict("list") == {"a": [1, 3], "b": [2.5, -4]}


def test_every_type_is_written() -> None:
    answers = np.array(TWO_ROWS)
    written = {name: content.write(answers, name) for name in content.installed()}
    assert written["text/csv"] == b"1.0,2.5\n3.0,-4.0\n"
    assert orjson.loads(written["application/json"]) == {"predictions": TWO_ROWS}
    assert list(map(orjson.loads, written["application/jsonlines"].splitlines())) == TWO_ROWS
    assert np.load(io.BytesIO(written["application/x-npy"])).tolist() == TWO_ROWS
    frame = pd.read_parquet(io.BytesIO(written["application/x-parquet"]))
    assert frame.to_numpy().tolist() == TWO_ROWS
    assert written["application/x-recordio-protobuf"].count(b"score") == 2
    assert content.write(np.array([1.5, 2.0]), "application/jsonlines") == b"1.5\n2.0\n"
    assert content.write(["yes", "no"], "application/json") == b'{"predictions":["yes","no"]}'


KNOWN = ("text/csv", "application/json")


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("", "text/csv"),
        ("*/*", "text/csv"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("image/png, application/json;q=0.5", "application/json"),
        ("text/html, */*", "text/csv"),
    ],
)
def test_accept(accept: str, answer: str) -> None:
    assert content.writable(accept, "text/csv", KNOWN) == answer


def test_what_is_not_known_is_told() -> None:
    with pytest.raises(
        NotAcceptable, match="accept 'image/png' is not supported; the answer is text/csv or app"
    ):
        content.writable("image/png", "text/csv", KNOWN)
    with pytest.raises(UnsupportedContentType, match="'text/html' is not supported; send text/csv, app"):
        content.readable("text/html", KNOWN)
    assert content.readable("Application/JSON; charset=utf-8", KNOWN) == "application/json"


def test_a_library_that_is_missing_takes_its_type_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "application/x-parquet" not in content.installed()
    with pytest.raises(Refusal, match="is not supported"):
        content.write(np.array([1.0]), "application/x-parquet")
