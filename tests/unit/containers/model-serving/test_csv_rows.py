"""CSV bodies: every bad one is refused with its row, every good one is read exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from model_serving import csv_rows as rows


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
        (b"1,2\n3,4,5,6\n", "row 1 has 2 values, the model takes 3"),
        (b"1,[2,3]\n", "row 1, value 2: '[2' is not"),
        (b"1,2,3\n4,5\n6,7,8,9\n", "row 2 has 2 values, the model takes 3"),
        (b"1,2,3\n[4,5],6\n", "row 2, value 1: '[4' is not"),
        (b"1,2],[3\n", "row 1, value 2: '2]' is not"),
        (b"1,null,3\n", "row 1, value 2: 'null' is not"),
        (b"1,2,3\n\n", "row 2 has 0 values"),
    ],
)
def test_a_bad_body_is_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(rows.RowError) as caught:
        rows.parse(body, 3)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"1,2\n3,4", b"1,2\n3,4\n", b"1,2\r\n3,4\r\n", b" 1 , 2\n3.0,4e0\n", b"+1,02\n3.,4\n"]
)
def test_line_ends_and_blanks_do_not_matter(body: bytes) -> None:
    assert rows.parse(body, 2).tolist() == [[1, 2], [3, 4]]


def test_without_a_width_the_first_row_says_it() -> None:
    assert rows.parse(b"1,2\n3,4\n").tolist() == [[1, 2], [3, 4]]
    assert rows.parse(b"1\n2\n").tolist() == [[1], [2]]
    with pytest.raises(rows.RowError, match="row 2 has 1 values, the model takes 2"):
        rows.parse(b"1,2\n3\n")


def test_threads_do_not_share_a_parser() -> None:
    from concurrent.futures import ThreadPoolExecutor

    body = b"\n".join(b",".join(b"%d.5" % (row + column) for column in range(50)) for row in range(200))
    expected = rows.parse(body, 50)
    with ThreadPoolExecutor(4) as threads:
        for table in threads.map(lambda _: rows.parse(body, 50), range(200)):
            assert np.array_equal(table, expected)


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


@given(
    st.sampled_from([np.float32, np.float64]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=1, max_dims=2, max_side=5))
    )
)
def test_what_is_answered_reads_back_the_same(answers: np.ndarray) -> None:  # type: ignore[type-arg]
    text = rows.write(answers)
    assert len(text.splitlines()) == len(answers)
    back = np.array([[float(field) for field in line.split(b",")] for line in text.splitlines()])
    table = answers.reshape(len(answers), -1)
    assert np.array_equal(back.astype(answers.dtype), table, equal_nan=True)


def test_answers_are_short() -> None:
    assert rows.write(np.array([[0.1, 1e-7], [2.5, 3.0]], np.float32)) == b"0.1,1e-7\n2.5,3.0\n"
    assert rows.write(np.array([3, -1])) == b"3\n-1\n"
    assert rows.write(np.array(["a", "b"])) == b"a\nb\n"
    assert rows.write(np.empty((0, 2))) == b""


@given(
    st.lists(
        st.lists(
            st.sampled_from(["1", "-2.5", "3e5", "1e+5", " 4", "+1", "", "[1,2]", "{", "x"]), min_size=1
        ),
        min_size=1,
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n", "\n\n"]),
    st.integers(1, 20),
)
def test_large_bodies_are_read_like_small_ones(
    table: list[list[str]], line_end: str, end: str, block_bytes: int
) -> None:
    body = (line_end.join(map(",".join, table)) + end).encode()

    def outcome() -> str | tuple[tuple[int, ...], bytes]:
        try:
            found = rows.parse(body, len(table[0]))
        except rows.RowError as error:
            return str(error)
        return found.shape, found.tobytes()

    small = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "LARGE_BYTES", 0)
        patch.setattr(rows, "BLOCK_BYTES", block_bytes)
        assert outcome() == small


def test_many_plain_rows_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"1,-2.5,3e-5\n" * 50_000
    monkeypatch.setattr(rows, "NUMERIC", None)  # whoever looks at separators one by one breaks
    assert np.array_equal(rows.parse(body, 3), np.tile([1, -2.5, 3e-5], (50_000, 1)))
