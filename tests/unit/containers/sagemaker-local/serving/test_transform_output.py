"""Answers and outputs: what is long waits in a file, lines end, nothing is seen before it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.transform_output import AnswerBody, Output

BUCKET = "transform"


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[ObjectStore]:
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket(BUCKET)
    yield store
    store.close()


def written(objects: ObjectStore, output: Output) -> bytes:
    output.commit(BUCKET, "out", "text/csv")
    with objects.open(BUCKET, "out") as stream:
        return stream.read()


@pytest.mark.parametrize("in_memory_bytes", [0, 3, 100])
@pytest.mark.parametrize(
    ("parts", "by_line", "wanted"),
    [
        ([b"a"], True, b"a\n"),
        ([b"a", b"\n"], True, b"a\n"),
        ([b"ab", b"cd"], True, b"abcd\n"),
        ([], True, b"\n"),
        ([b"a"], False, b"a"),
    ],
)
async def test_assembled_by_line_ends_every_answer_with_one_line_end(
    objects: ObjectStore,
    tmp_path: Path,
    parts: list[bytes],
    by_line: bool,
    wanted: bytes,
    in_memory_bytes: int,
) -> None:
    output = Output(objects)
    for _ in range(2):
        answer = AnswerBody(tmp_path, in_memory_bytes)
        answer.write(b"of an attempt that failed")
        answer.clear()
        for part in parts:
            answer.write(part)
        assert answer.bytes() == b"".join(parts)
        await answer.pour(output, by_line=by_line)
        answer.close()
    assert written(objects, output) == wanted * 2


def test_a_long_answer_waits_in_a_file(tmp_path: Path) -> None:
    answer = AnswerBody(tmp_path, 1000)
    for _ in range(100):
        answer.write(b"x" * 100)
    assert len(answer._memory) <= 1000
    assert answer.bytes() == b"x" * 10_000
    answer.close()


def test_an_output_begun_anew_holds_nothing_of_before(objects: ObjectStore) -> None:
    output = Output(objects)
    output.write(b"before")
    output.clear()
    ends = [output.ends_a_line]
    output.write(b"after")
    ends.append(output.ends_a_line)
    assert ends == [True, False]
    assert written(objects, output) == b"after"


def test_an_aborted_output_leaves_nothing(objects: ObjectStore, tmp_path: Path) -> None:
    output = Output(objects)
    output.write(b"x" * 2_000_000)
    output.abort()
    assert not list((tmp_path / "s3" / "tmp").iterdir())
    assert not list(objects.iter_objects(BUCKET))
