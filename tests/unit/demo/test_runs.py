from __future__ import annotations

from typing import Any

import pytest

from demo.runs import RunFailedError, RunRecord, TaskRecord, follow, require_success


def task(task_id: str, state: str | None, **times: str | None) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "map_index": -1,
        "state": state,
        "try_number": 1,
        "queued_when": None,
        "start_date": None,
        "end_date": None,
    } | times


class FakeApi:
    """Answers with one look after another, the last one for ever."""

    def __init__(self, *looks: tuple[str, list[dict[str, Any]]]) -> None:
        self.looks = list(looks)
        self.asked = 0

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return {"state": self.looks[0][0], "logical_date": None}

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        tasks = self.looks[0][1]
        if len(self.looks) > 1:
            self.looks.pop(0)
        self.asked += 1
        return tasks

    def log_lines(self, dag_id: str, run_id: str, task_id: str, *, try_number: int) -> list[str]:
        return [f"line {number} of {task_id}" for number in range(100)]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.runs.POLL_INTERVAL_S", 0.0)


def test_a_task_keeps_the_time_when_it_was_queued_first() -> None:
    record = TaskRecord("dag", "run", "train")
    record.update(task("train", "queued", queued_when="2026-01-01T00:00:00Z"))
    record.update(
        task("train", "deferred", queued_when="2026-01-01T00:00:00Z", start_date="2026-01-01T00:00:02Z")
    )
    record.update(
        task(
            "train",
            "success",
            queued_when="2026-01-01T00:01:00Z",  # when its trigger had fired
            start_date="2026-01-01T00:00:02Z",
            end_date="2026-01-01T00:01:03Z",
        )
    )
    assert (record.queued_s, record.run_s) == (2.0, 61.0)


def test_follow_looks_until_the_run_has_ended() -> None:
    api = FakeApi(("running", [task("a", "running")]), ("success", [task("a", "success")]))
    (run,) = follow(api, [RunRecord("dag", "run")], timeout_s=5)  # type: ignore[arg-type]
    assert (run.state, run.tasks[("a", -1)].state) == ("success", "success")


def test_follow_gives_up_and_says_what_was_running() -> None:
    api = FakeApi(("running", [task("a", "success"), task("b", "deferred")]))
    with pytest.raises(TimeoutError, match="dag run is still running: b deferred"):
        follow(api, [RunRecord("dag", "run")], timeout_s=0)  # type: ignore[arg-type]


def test_a_failed_run_names_dag_task_and_the_end_of_its_log() -> None:
    failed = [
        task("a", "success"),
        task("c", "failed", end_date="2026-01-01T00:00:09Z"),
        task("b", "failed", end_date="2026-01-01T00:00:05Z"),
        task("d", "upstream_failed"),
    ]
    api = FakeApi(("failed", failed))
    runs = follow(api, [RunRecord("dag", "run")], timeout_s=5)  # type: ignore[arg-type]
    with pytest.raises(RunFailedError) as error:
        require_success(api, runs)  # type: ignore[arg-type]
    assert "dag: task b of run run failed" in str(error.value)
    assert str(error.value).endswith("line 99 of b")
