from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo import pictures, summary
from demo.chain import Answers, ChainResult, same_answer
from demo.jobs import JobInterval
from demo.runs import RunRecord, TaskRecord

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def chain() -> ChainResult:
    train = TaskRecord("digits__model_build", "run", "train", state="success")
    train.queued_at, train.started_at, train.ended_at = at(0), at(1), at(9)
    gate = TaskRecord("digits__model_build", "run", "gate", state="success")
    gate.queued_at, gate.started_at, gate.ended_at = at(0), at(0.5), at(1)
    build = RunRecord("digits__model_build", "run", "success", None)
    build.tasks = {("train", -1): train, ("gate", -1): gate}
    return ChainResult(
        started_at=at(0),
        ended_at=at(10),
        runs=[build],
        model_package_arn="arn:aws:sagemaker:us-east-1:123456789012:model-package/digits/1",
        evaluation={"accuracy": 0.96, "baseline_accuracy": 0.8},
        verification={"max_abs_diff": 1e-7, "p50_us": 20.0, "original_p50_us": 400.0, "speedup": 20.0},
        endpoint_name="digits",
        answers=Answers(labels=[1, 2], batch=[1, 2], truth=[1, 3], images=[[0] * 64, [16] * 64]),
        rows_in=2,
        rows_out=2,
        jobs={("digits__model_build", "run", "train"): "job-1"},
    )


INTERVALS = {
    "job-1": JobInterval("job-1", "Training", "Completed", at(2), at(8)),
    "stranger": JobInterval("stranger", "Training", "Completed", at(8), at(10)),
}


def document(chain: ChainResult) -> dict[str, Any]:
    timing = summary.Timing(setup_s=3.0, wall_s=20.0)
    return summary.document(chain, INTERVALS, timing, "http://127.0.0.1:4566")


def test_summary_has_exactly_the_agreed_fields(chain: ChainResult) -> None:
    content = document(chain)
    assert set(content) == {
        "pipeline", "accuracy", "baseline_accuracy", "model_package_arn", "compiled", "endpoint", "batch",
        "tasks", "wall_s", "setup_s", "orchestration_s",
    }  # fmt: skip
    assert set(content["compiled"]) == {"max_abs_diff", "p50_us", "original_p50_us"}
    assert content["endpoint"] == {
        "name": "digits",
        "url": "http://127.0.0.1:4566/endpoints/digits/invocations",
        "predictions_checked": 2,
        "predictions_wrong": 0,
    }
    assert content["tasks"] == [
        {"dag_id": "digits__model_build", "task_id": "gate", "state": "success", "queued_s": 0.5,
         "run_s": 0.5, "job_s": None},
        {"dag_id": "digits__model_build", "task_id": "train", "state": "success", "queued_s": 1.0,
         "run_s": 8.0, "job_s": 6.0},
    ]  # fmt: skip


def test_orchestration_counts_only_jobs_of_the_chain(chain: ChainResult) -> None:
    assert document(chain)["orchestration_s"] == 4.0


def test_summary_is_written_as_json(chain: ChainResult, tmp_path: Path) -> None:
    content = document(chain)
    path = summary.write(tmp_path, content)
    assert path.name == "summary.json"
    assert json.loads(path.read_text()) == content


def test_pictures_are_drawn(chain: ChainResult, tmp_path: Path) -> None:
    drawn = pictures.draw(tmp_path, chain, INTERVALS)
    assert [path.name for path in drawn] == ["digits.png", "confusion.png", "timeline.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (["3", "0.25"], ["3.0", "0.2500001"], True),
        (["3", "0.25"], ["3", "0.26"], False),
        (["3", "0.25"], ["4", "0.25"], False),
        (["3"], ["3", "0.25"], False),
    ],
)
def test_answers_are_compared_number_by_number(one: list[str], other: list[str], same: bool) -> None:
    assert same_answer(one, other) is same
