"""CSV bodies: every bad one is refused with its row, every good one is read exactly."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.containers.programs import Image


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits_rows", Image("digits").source / "rows.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rows = load()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "there are no rows; send lines of 3 numbers"),
        (b"\n", "row 1 has 0 values, the model takes 3"),
        (b"1,2,3\n1,2\n", "row 2 has 2 values, the model takes 3"),
        (b"1,2,3\n1,2,3,4\n", "row 2 has 4 values, the model takes 3"),
        (b"1,2\n1,2\n", "row 1 has 2 values, the model takes 3"),
        (b"1,2,3\n\n4,5,6\n", "row 2 has 0 values"),
        (b"1,2,3\n4,x,6\n", "row 2, value 2: 'x' is not a finite number"),
        (b"1,2,3\n4,,6\n", "row 2, value 2: '' is not a finite number"),
        (b"1,2,nan\n", "row 1, value 3: 'nan' is not"),
        (b"1,2,inf\n", "row 1, value 3: 'inf' is not"),
        (b"1,2,1e999\n", "row 1, value 3: '1e999' is not"),
        (b"1,2,1_0\n", "row 1, value 3: '1_0' is not"),
        (b"1,2,0x1\n", "row 1, value 3: '0x1' is not"),
        (b"1,2,3#4\n", "row 1, value 3: '3#4' is not"),
        (b'1,2,"3"\n', "row 1, value 3: '\"3\"' is not"),
        (b"1 2,3,4\n", "row 1, value 1: '1 2' is not"),
        (b"a,b,c\n1,2,3\n", "row 1, value 1: 'a' is not"),
        (b"1,2,3\n1,2,\xff\n", "row 2: byte 0xff is not part of a number"),
        (b"1,2,3\r4,5,6\n", "row 1 has 5 values"),
    ],
)
def test_a_bad_body_is_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(rows.RowError) as caught:
        rows.parse(body, 3)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("body", [b"1,2\n3,4", b"1,2\n3,4\n", b"1,2\r\n3,4\r\n", b" 1 , 2\n3.0,4e0\n"])
def test_line_ends_and_blanks_do_not_matter(body: bytes) -> None:
    assert rows.parse(body, 2).tolist() == [[1, 2], [3, 4]]


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(st.lists(finite, min_size=width, max_size=width), min_size=1)
    )
)
def test_what_is_written_is_read(table: list[list[float]]) -> None:
    body = "".join(",".join(map(repr, row)) + "\n" for row in table).encode()
    assert np.array_equal(rows.parse(body, len(table[0])), np.array(table))


@given(st.text('0123456789.,-+eE nai\n\r#"_x', max_size=40))
def test_any_text_is_read_in_full_or_refused(text: str) -> None:
    try:
        table = rows.parse(text.encode(), 2)
    except rows.RowError as error:
        said = str(error)
    else:
        said = "row"
        assert table.shape == (len(text.replace("\r\n", "\n").rstrip("\n").split("\n")), 2)
        assert np.isfinite(table).all()
    assert "row" in said
