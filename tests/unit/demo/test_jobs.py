from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from demo.jobs import JobInterval, uncovered_s

START = datetime(2026, 1, 1, tzinfo=UTC)


def job(first_s: float, last_s: float) -> JobInterval:
    return JobInterval(
        "name", "Training", "Completed", START + timedelta(seconds=first_s), START + timedelta(seconds=last_s)
    )


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([], 100),
        ([job(10, 30)], 80),
        ([job(10, 30), job(20, 40)], 70),  # side by side counts once
        ([job(20, 25), job(10, 40)], 70),  # one inside another
        ([job(-20, 10), job(90, 120)], 80),  # cut at the ends
        ([job(-20, -10), job(110, 120)], 100),  # outside
        ([job(0, 100)], 0),
    ],
)
def test_time_in_which_no_job_ran(jobs: list[JobInterval], expected: float) -> None:
    assert uncovered_s(START, START + timedelta(seconds=100), jobs) == pytest.approx(expected)
