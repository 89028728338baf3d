from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from demo.progress import Progress
from demo.runs import RunRecord, TaskRecord

START = datetime(2026, 1, 12, tzinfo=UTC)


def run(state: str) -> RunRecord:
    record = RunRecord("digits__nightly", "run", "running", START)
    task = TaskRecord("digits__nightly", "run", "transform", state=state)
    task.started_at, task.ended_at = START, START + timedelta(seconds=7)
    record.tasks[("transform", -1)] = task
    return record


def test_without_a_terminal_each_change_is_one_line() -> None:
    output = io.StringIO()
    progress = Progress(Console(file=output, force_terminal=False, width=100))
    with progress.shown(), progress.stage("Score") as stage:
        for state in ("queued", "running", "running", "success", "success"):
            progress.runs(stage, [run(state)])
        stage.detail = "1 partition"
    lines = output.getvalue().splitlines()
    assert lines[:3] == [
        "Score …",
        "  digits__nightly 2026-01-12 transform: running",
        "  digits__nightly 2026-01-12 transform: success after 7.0 s",
    ]
    assert lines[3].startswith("Score: done in ")
    assert lines[3].endswith(" s (1 partition)")


def test_a_stage_that_fails_says_so() -> None:
    output = io.StringIO()
    progress = Progress(Console(file=output, force_terminal=False))
    with pytest.raises(ValueError, match="oops"), progress.stage("Build"):
        raise ValueError("oops")
    assert "Build: failed in " in output.getvalue()


def test_a_terminal_shows_stages_with_their_tasks() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=100)
    progress = Progress(console)
    with progress.stage("Score") as stage:
        progress.runs(stage, [run("success")])
    console.print(progress._draw())
    shown = output.getvalue()
    assert "Score" in shown
    assert "transform" in shown
    assert "2026-01-12" in shown
