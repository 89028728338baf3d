from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_sagemaker.deployment import DEPLOYMENT_TAG
from airflow_sagemaker.fingerprint import OWNER_TAG, ownership_tags
from airflow_sagemaker.kinds import PROCESSING, TRAINING, TUNING, JobKind
from airflow_sagemaker.names import TaskIdentity, job_name
from airflow_sagemaker.orphans import OVER, RunningJob, judge, owners

HERE, ELSEWHERE = "our-airflow", "their-airflow"
TASK = TaskIdentity("digits__model_build", "scheduled__2026-01-01T00:00:00+00:00", "train")
MAPPED = TaskIdentity("d", "r", "t", 3)
LIVE = ("running", "deferred", "queued", "scheduled", "up_for_retry", "up_for_reschedule", "restarting", None)


def job(
    task: TaskIdentity = TASK,
    attempt: int = 0,
    deployment: str = HERE,
    kind: JobKind = TRAINING,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> RunningJob:
    owned = {**ownership_tags(task, "work", "2"), DEPLOYMENT_TAG: deployment, **(tags or {})}
    own_name = job_name(task.dag_id, task.run_id, task.task_id, task.map_index, attempt, kind.name_limit)
    return RunningJob(kind, name or own_name, owned)


@pytest.mark.parametrize("state", sorted(OVER))
@pytest.mark.parametrize("task", [TASK, MAPPED])
def test_a_job_whose_task_is_over_is_an_orphan(state: str, task: TaskIdentity) -> None:
    found = judge([job(task)], HERE, {task: state})
    assert list(found.orphans) == [job(task)]
    assert f"is over ({state})" in found.orphans[job(task)]


@pytest.mark.parametrize("state", LIVE)
def test_a_task_that_may_yet_adopt_its_job_keeps_it(state: str | None) -> None:
    found = judge([job()], HERE, {TASK: state})
    assert not found.orphans
    assert not found.doubtful


@pytest.mark.parametrize("attempt", [0, 2])
def test_what_a_tuning_job_made_is_left_to_it(attempt: int) -> None:
    tuning = job(kind=TUNING, attempt=attempt)
    found = judge([tuning, job(name=f"{tuning.name}-001-0123abcd")], HERE, {TASK: "failed"})
    assert list(found.orphans) == [tuning]
    assert not found.doubtful


def test_a_deleted_run_leaves_orphans() -> None:
    found = judge([job()], HERE, {})
    assert "was deleted with its run" in found.orphans[job()]


def test_an_older_job_of_a_task_at_work_is_an_orphan_and_the_newest_is_not() -> None:
    jobs = [job(), job(attempt=10), job(attempt=2), job(kind=PROCESSING)]
    found = judge(jobs, HERE, {TASK: "deferred"})
    assert sorted(each.attempt for each in found.orphans) == [0, 2]
    assert all(jobs[1].name in why for why in found.orphans.values())


@pytest.mark.parametrize(
    "foreign",
    [
        job(deployment=ELSEWHERE),
        RunningJob(TRAINING, "x", {}),
        RunningJob(TRAINING, job().name, ownership_tags(TASK, "work", "2")),
    ],
)
def test_what_another_airflow_made_is_not_judged_at_all(foreign: RunningJob) -> None:
    found = judge([foreign], HERE, {})
    assert not found.orphans
    assert not found.doubtful
    assert owners([foreign], HERE) == set()


@pytest.mark.parametrize(
    "doubtful",
    [
        job(tags={OWNER_TAG: "0123456789"}),
        job(tags={"airflow:run_id": "cut off"}),
        job(tags={"airflow:map_index": "many"}),
        job(name="somebody-s-job-0123456789"),
    ],
)
def test_what_tags_and_name_do_not_tell_is_told_and_left(doubtful: RunningJob) -> None:
    found = judge([doubtful], HERE, {})
    assert not found.orphans
    assert list(found.doubtful) == [doubtful]


def test_a_tuning_job_has_a_shorter_name() -> None:
    tuning = job(kind=TUNING)
    assert len(tuning.name) <= TUNING.name_limit
    assert list(judge([tuning], HERE, {TASK: "failed"}).orphans) == [tuning]


def test_a_result_names_job_and_reason() -> None:
    result: dict[str, Any] = job().as_result("it is over")
    assert result == {"kind": "training_job", "job_name": job().name, "why": "it is over"}
