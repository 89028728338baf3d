"""DataProcessing: records and answers stay together, filters take what AWS's examples take."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.errors import ValidationException
from sagemaker_local.serving.data_processing import CsvFormat, DataProcessing, DataProcessingError, Filter


def job(content_type: str = "text/csv", split: str = "Line", **asked: Any) -> dict[str, Any]:
    return {
        "TransformInput": {"ContentType": content_type, "SplitType": split},
        "TransformOutput": {"AssembleWith": "Line" if split == "Line" else "None"},
        "DataProcessing": asked,
    }


def processing(*arguments: str, **asked: Any) -> DataProcessing:
    wanted = DataProcessing.of(job(*arguments, **asked))
    assert wanted is not None
    return wanted


@pytest.mark.parametrize("asked", [{}, {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}])
def test_nothing_to_do(asked: dict[str, str]) -> None:
    assert DataProcessing.of(job("image/png", **asked)) is None


@pytest.mark.parametrize(
    ("path", "sent"),
    [("$[1:]", b"1,2\n"), ("$[0]", b"id\n"), ("$[0,-1]", b"id,2\n"), ("$[:-1]", b"id,1\n")],
)
def test_an_input_filter_takes_columns(path: str, sent: bytes) -> None:
    assert processing(InputFilter=path).to_model(b"id,1,2\n") == sent


def test_a_join_appends_the_answer_to_the_whole_row_and_the_output_filter_sees_both() -> None:
    wanted = processing(InputFilter="$[1:]", JoinSource="Input", OutputFilter="$[0,-1]")
    assert wanted.to_output(b'"a,b",1,2\nc,3,4\n', b"0.5\n0.75") == b'"a,b",0.5\nc,0.75\n'


@pytest.mark.parametrize(
    ("record", "answer", "joined"),
    [
        ({"id": 1}, {"p": 0.5}, {"id": 1, "SageMakerOutput": {"p": 0.5}}),
        ([1, 2], 0.5, {"SageMakerInput": [1, 2], "SageMakerOutput": 0.5}),
    ],
)
def test_json_is_joined_under_awss_names(record: Any, answer: Any, joined: Any) -> None:
    for content_type, split in [("application/jsonlines", "Line"), ("application/json", "None")]:
        wanted = processing(content_type, split, JoinSource="Input")
        body = wanted.to_output(json.dumps(record).encode(), json.dumps(answer).encode())
        assert json.loads(bytes(body)) == joined


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("$.id", 7),
        ("$['id','SageMakerOutput']", {"id": 7, "SageMakerOutput": [1, 2]}),
        ("$.SageMakerOutput[1]", 2),
        ("$.SageMakerOutput[0:]", [1, 2]),
    ],
)
def test_an_output_filter_of_json(path: str, kept: Any) -> None:
    wanted = processing("application/jsonlines", "Line", JoinSource="Input", OutputFilter=path)
    assert json.loads(bytes(wanted.to_output(b'{"id": 7, "x": 1}\n', b"[1, 2]\n"))) == kept


def test_answers_of_another_number_are_never_shifted() -> None:
    with pytest.raises(DataProcessingError, match="2 records were sent and 1 came back"):
        processing(JoinSource="Input").to_output(b"1\n2\n", b"1\n")


@pytest.mark.parametrize(
    ("content_type", "payload", "words"),
    [
        ("application/jsonlines", b"{]\n", "not JSON"),
        ("application/jsonlines", b'{"other": 1}\n', r"\$.id selects nothing"),
        ("text/csv", b"\xff\n", "not CSV in UTF-8"),
    ],
)
def test_a_record_that_cannot_be_processed_says_why(content_type: str, payload: bytes, words: str) -> None:
    with pytest.raises(DataProcessingError, match=words):
        processing(content_type, InputFilter="$.id").to_model(payload)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"DataProcessing": {"InputFilter": "$[0,5:]"}}, "InputFilter .* is not a valid JSONPath"),
        ({"TransformInput": {"ContentType": "image/png"}}, "ContentType of text/csv"),
        ({"TransformOutput": {"Accept": "application/json", "AssembleWith": "Line"}}, "to be the same"),
        ({"TransformOutput": {"AssembleWith": "None"}}, "needs AssembleWith Line"),
        ({"MaxPayloadInMB": 0}, "MaxPayloadInMB greater than 0"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationException, match=words):
        DataProcessing.of({**job(JoinSource="Input"), **changed})


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=8)
rows = st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=8)


@given(rows)
def test_joined_csv_reads_back_as_row_and_answer(table: list[list[str]]) -> None:
    payload = CsvFormat().write(table)
    joined = processing(JoinSource="Input").to_output(payload, payload)
    assert list(csv.reader(io.StringIO(bytes(joined).decode(), newline=""))) == [row + row for row in table]


@given(st.lists(st.lists(st.text('ab,"\r\n ', max_size=3), max_size=3), max_size=4))
def test_the_short_way_of_csv_reads_and_writes_as_the_long_one(table: list[list[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in table:
        if row:
            writer.writerow(row)
        else:
            text.write("\n")
    body = text.getvalue().encode()
    assert CsvFormat().write(table) == body
    assert CsvFormat().read(body) == list(csv.reader(io.StringIO(body.decode(), newline="")))


@given(st.text("ab,\n ", max_size=20))
def test_the_short_way_reads_any_lines_as_the_long_one(text: str) -> None:
    assert CsvFormat().read(text.encode()) == list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    "path", ["$[0]", "$[-1]", "$[0,-1]", "$[5,1]", "$[1:]", "$[:-1]", "$[::2]", "$[::-1]"]
)
@given(row=st.lists(st.integers(), min_size=1, max_size=6))
def test_the_short_way_of_columns_takes_what_the_path_does(path: str, row: list[int]) -> None:
    wanted = Filter.of("InputFilter", path)
    assert wanted is not None
    assert wanted.columns is not None
    found = [match.value for match in wanted.path.find(row)]
    assert wanted.columns(row) == found
