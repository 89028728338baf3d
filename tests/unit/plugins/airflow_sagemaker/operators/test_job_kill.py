"""What stops a paid job: kills, timeouts, a trigger that breaks; and what never does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout

from airflow_sagemaker import errors
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.kinds import JobKind
from airflow_sagemaker.submission import STATE_KEY, NameTakenError
from airflow_sagemaker.task_record import Asked, Start, TaskRecord
from tests.unit.plugins.airflow_sagemaker.operators.job_task import (
    Jobs,
    Store,
    context,
    deferred,
    operator,
    tags_of,
)

pytestmark = pytest.mark.usefixtures("connection")


def remembering(name: str) -> Store:
    store = Store()
    TaskRecord(store, STATE_KEY).write(Asked(name, "work", 0, Start(max_tries=0), "0.x"))
    return store


def test_a_kill_on_the_worker_stops_the_job(jobs: Jobs) -> None:
    operator().on_kill()
    assert jobs.stopped == []
    task = operator()
    deferred(task, context(task))
    task.on_kill()
    assert jobs.stopped == [jobs.created[0]["TrainingJobName"]]


def test_a_kill_while_the_job_is_being_made_stops_it_as_soon_as_it_is_there(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow calls ``on_kill`` from a signal handler, and the task goes on where it was."""
    task = operator()

    def create(_: JobHook, kind: JobKind, request: Mapping[str, Any]) -> None:
        monkeypatch.setattr(JobHook, "describe", lambda *_: None)  # AWS knows no such job yet
        task.on_kill()
        assert jobs.stopped == []
        jobs.created.append(request)

    monkeypatch.setattr(JobHook, "create", create)
    with pytest.raises(errors.JobStoppedError, match="killed while it was being made"):
        task.execute(context(task))
    assert jobs.stopped == [jobs.created[0]["TrainingJobName"]]


def test_a_kill_before_create_makes_no_job(jobs: Jobs) -> None:
    task = operator()
    task.on_kill()
    with pytest.raises(errors.JobStoppedError, match="killed"):
        task.execute(context(task))
    assert (jobs.created, jobs.stopped) == ([], [])


def test_a_kill_while_the_state_store_is_written_makes_no_job(jobs: Jobs) -> None:
    task = operator()

    class Killing(Store):
        def set(self, key: str, value: Any) -> None:
            super().set(key, value)
            task.on_kill()

    with pytest.raises(errors.JobStoppedError, match="killed"):
        task.execute(context(task, store=Killing()))
    assert (jobs.created, jobs.stopped) == ([], [])


@pytest.mark.parametrize("end", ["completed", "trouble"])
def test_a_kill_that_comes_before_a_worker_knows_what_it_resumes_is_not_forgotten(
    jobs: Jobs, end: str
) -> None:
    task = operator()
    task.on_kill()
    event = {"job_name": "the-job", "end": end, "results": {}}
    with pytest.raises(errors.JobStoppedError, match="'the-job'"):
        task.resume_execution("execute_complete", {"event": event}, context(task))
    assert jobs.stopped == ["the-job"]


def test_an_execution_timeout_after_create_was_called_stops_the_job(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow unwinds the task, then calls ``on_kill`` (``_run_execute_callable`` in task_runner.py)."""
    task = operator()

    def create(_: JobHook, kind: JobKind, request: Mapping[str, Any]) -> None:
        jobs.created.append(request)
        jobs.found = {"TrainingJobStatus": "InProgress", "tags": tags_of(request)}
        raise AirflowTaskTimeout

    monkeypatch.setattr(JobHook, "create", create)
    with pytest.raises(AirflowTaskTimeout):
        task.execute(context(task))
    task.on_kill()
    task.on_kill()
    assert jobs.stopped == [jobs.created[0]["TrainingJobName"]]


@pytest.mark.parametrize(("max_tries", "stops"), [(0, True), (1, False)], ids=["last try", "retried"])
def test_a_create_without_an_answer_leaves_no_job_behind_where_no_try_finds_it(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, max_tries: int, stops: bool
) -> None:
    task = operator(retries=max_tries)

    def create(_: JobHook, kind: JobKind, request: Mapping[str, Any]) -> None:
        jobs.found = {"TrainingJobStatus": "InProgress", "tags": tags_of(request)}
        raise errors.UnreachableError("t", "no answer", "r")

    monkeypatch.setattr(JobHook, "create", create)
    with pytest.raises(errors.UnreachableError):
        task.execute(context(task, max_tries=max_tries))
    assert bool(jobs.stopped) is stops


def test_a_kill_never_stops_somebody_elses_job(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    task = operator()
    jobs.found = {"TrainingJobStatus": "InProgress", "tags": {}}

    def create(_: JobHook, kind: JobKind, request: Mapping[str, Any]) -> None:
        task.on_kill()
        raise NameTakenError

    monkeypatch.setattr(JobHook, "create", create)
    with pytest.raises((errors.ForeignResourceError, errors.JobStoppedError)):
        task.execute(context(task))
    task.on_kill()
    assert jobs.stopped == []


def test_a_deferral_timeout_stops_the_job(jobs: Jobs) -> None:
    task, store = operator(), remembering("the-job")
    with pytest.raises(errors.JobTimedOutError, match="'the-job'") as raised:
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, context(task, store=store))
    assert isinstance(raised.value.__cause__, TaskDeferralTimeout)
    assert jobs.stopped == ["the-job"]


@pytest.mark.parametrize(("max_tries", "stopped"), [(0, ["the-job"]), (1, [])], ids=["last try", "retried"])
def test_a_broken_trigger_stops_the_job_unless_a_retry_will_find_it(
    jobs: Jobs, max_tries: int, stopped: list[str]
) -> None:
    task, store = operator(retries=max_tries), remembering("the-job")
    around = context(task, max_tries=max_tries, store=store)
    with pytest.raises(TaskDeferralError):
        task.resume_execution("__fail__", {"error": "Trigger failure", "traceback": []}, around)
    assert jobs.stopped == stopped
