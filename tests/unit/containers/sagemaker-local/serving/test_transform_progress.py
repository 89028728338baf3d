"""Progress: what the lines say, and that a long job does not fill its log with them."""

from __future__ import annotations

import asyncio

import pytest

from sagemaker_local.serving import transform_progress
from sagemaker_local.serving.transform import _reported
from sagemaker_local.serving.transform_progress import Counted, Progress


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_line_says_how_far_how_fast_and_how_long_still() -> None:
    clock = Clock()
    progress = Progress(3, 10_000_000, clock=clock)
    clock.now_s += 10
    progress.answered(20_000, 2_500_000)
    progress.objects_done = 1
    assert progress.line() == (
        "20,000 rows, 2.5 of 10.0 MB, 1 of 3 objects in 10 s; 2,000 rows/s, about 30 s left"
    )


def test_of_compressed_input_nobody_knows_what_is_left() -> None:
    clock = Clock()
    progress = Progress(1, 1000, packed=True, clock=clock)
    clock.now_s += 4
    progress.answered(8, 2_000_000)
    assert progress.line() == "8 rows in 4 s; 2 rows/s"


def test_lines_become_rarer() -> None:
    clock = Clock()
    progress = Progress(1, 1, clock=clock)
    lines = 0
    while progress.elapsed_s < 3600:
        clock.now_s += progress.next_line_s
        lines += 1
    assert lines < 150
    assert progress.next_line_s == 30


def test_what_is_sent_again_is_counted_once() -> None:
    progress, counted = Progress(1, 10), Counted()
    progress.answered(3, 6, counted)
    progress.forget(counted)
    progress.answered(3, 6, counted)
    assert (progress.rows, progress.bytes_done) == (3, 6)


async def test_lines_come_while_it_goes_on_and_end_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transform_progress, "FIRST_S", 0.02)
    written: list[str] = []
    noted: list[str] = []
    async with _reported(Progress(1, 10), written.append, noted.append):
        async with asyncio.timeout(60):
            while len(written) < 2:  # noqa: ASYNC110 - lines tell nobody that they are written
                await asyncio.sleep(0.01)
    count = len(written)
    assert written == ["sagemaker-local: " + line for line in noted]
    await asyncio.sleep(0.1)
    assert len(written) == count
