"""The life cycle of a job's task, with AWS replaced at the hook."""

from __future__ import annotations

import time
from typing import Any

import pytest
from airflow.sdk import DAG, Asset

from airflow_sagemaker import errors
from airflow_sagemaker.names import run_key
from airflow_sagemaker.operators.job import BACKSTOP_S, PENDING_ALLOWANCE_S
from airflow_sagemaker.operators.processing import ProcessingJobOperator
from airflow_sagemaker.specs.processing import ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.training import TrainingJob
from airflow_sagemaker.submission import STATE_KEY
from airflow_sagemaker.triggers import worker_wait
from tests.unit.plugins.airflow_sagemaker.operators.job_task import (
    RUN_ID,
    Jobs,
    context,
    deferred,
    operator,
    tags_of,
)

pytestmark = pytest.mark.usefixtures("connection")


def test_a_task_submits_its_rendered_job_and_waits_in_the_triggerer(jobs: Jobs) -> None:
    task = operator()
    around = context(task)
    waiting = deferred(task, around)
    (request,) = jobs.created
    assert request["OutputDataConfig"] == {"S3OutputPath": f"s3://data/builds/{run_key(RUN_ID)}/"}
    assert request["TrainingJobName"] == around["task_state_store"][STATE_KEY]["name"]
    path, fields = waiting.trigger.serialize()
    assert path == "airflow_sagemaker.triggers.job.JobTrigger"
    assert fields["kind"] == "training_job"
    assert fields["job_name"] == request["TrainingJobName"]
    assert fields["poll_interval_s"] == 0.5
    assert fields["succeed_in_trigger"] is True
    assert waiting.method_name == "execute_complete"


@pytest.mark.parametrize("limit_s", [7, 0])
def test_a_task_that_may_waits_on_its_worker_first(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, limit_s: float
) -> None:
    asked: list[Any] = []

    def wait(trigger: Any, ti: Any, limit_s: float) -> dict[str, Any]:
        asked.append((trigger.job_name, ti.task_id, limit_s))
        return {"job_name": trigger.job_name, "end": "completed", "results": {"model_uri": "s3://b/m"}}

    monkeypatch.setattr(worker_wait, "wait_on_worker", wait)
    task = operator(worker_wait_s=limit_s)
    around = context(task)
    if not limit_s:
        deferred(task, around)
        assert asked == []
        return
    task.render_template_fields(around)
    assert task.execute(around) == {"model_uri": "s3://b/m"}
    assert asked == [(jobs.created[0]["TrainingJobName"], "train", 7)]


def test_a_wait_on_the_worker_that_takes_too_long_defers(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_wait, "wait_on_worker", lambda *_: None)
    task = operator(worker_wait_s=7)
    assert deferred(task, context(task)).method_name == "execute_complete"


def test_waiting_never_gives_up_before_the_jobs_own_time(jobs: Jobs) -> None:
    waiting = deferred(task := operator(), context(task))
    assert waiting.timeout is not None
    # Even if it got its machines at the last moment.
    assert waiting.timeout.total_seconds() == 60 + PENDING_ALLOWANCE_S + 60 + BACKSTOP_S
    assert waiting.trigger.max_runtime_s == 60


@pytest.mark.parametrize(
    ("arguments", "ends"),
    [
        ({}, True),
        ({"outlets": [Asset("sagemaker://digits/model")]}, False),
        ({"on_success_callback": lambda _: None}, False),
        ({"end_in_trigger": False}, False),
        ({"outlets": [Asset("sagemaker://digits/model")], "end_in_trigger": True}, True),
    ],
)
def test_success_comes_back_to_a_worker_where_one_is_needed(
    jobs: Jobs, arguments: dict[str, Any], ends: bool
) -> None:
    task = operator(**arguments)
    assert deferred(task, context(task)).trigger.succeed_in_trigger is ends


def test_a_job_that_has_completed_before_needs_no_waiting(jobs: Jobs) -> None:
    task = operator()
    around = context(task)
    deferred(task, around)
    jobs.found = {
        "TrainingJobStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://data/model.tar.gz"},
        "tags": tags_of(jobs.created[0]),
    }
    result = task.execute(around)
    assert result["model_uri"] == "s3://data/model.tar.gz"
    assert len(jobs.created) == 1


@pytest.mark.parametrize(
    ("reason", "arguments", "error", "text"),
    [
        ("AlgorithmError: ValueError", {}, errors.JobFailedError, "AlgorithmError: ValueError"),
        ("CapacityError: no machine", {}, errors.JobError, "names after it are in use"),
        ("AlgorithmError: ValueError", {"retry_policy": None}, errors.JobError, "names after it are in use"),
    ],
    ids=["its own fault", "passing trouble", "no policy"],
)
def test_a_bug_whose_try_was_lost_is_not_paid_for_again(
    jobs: Jobs, reason: str, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    first = operator(**arguments)
    around = context(first, max_tries=2)
    deferred(first, around)
    jobs.found = {
        "TrainingJobStatus": "Failed",
        "FailureReason": reason,
        "tags": tags_of(jobs.created[0]),
    }
    again = operator(**arguments)
    retried = context(again, try_number=2, max_tries=2, store=around["task_state_store"])
    again.render_template_fields(retried)
    with pytest.raises(error, match=text):
        again.execute(retried)
    assert jobs.stopped == []


def test_the_log_of_a_new_job_begins_now_and_that_of_an_adopted_one_is_read_from_its_beginning(
    jobs: Jobs,
) -> None:
    task = operator()
    around = context(task)
    since_ms = deferred(task, around).trigger.since_ms
    assert abs(since_ms - time.time() * 1000) < 600_000
    jobs.found = {"TrainingJobStatus": "InProgress", "tags": tags_of(jobs.created[0])}
    another = operator()
    assert deferred(another, context(another, store=around["task_state_store"])).trigger.since_ms is None
    assert len(jobs.created) == 1


def test_a_foreign_job_of_the_name_fails_the_task(jobs: Jobs) -> None:
    task = operator()
    jobs.found = {"TrainingJobStatus": "InProgress", "tags": {}}
    with pytest.raises(errors.ForeignResourceError, match="did not make"):
        task.execute(context(task))


@pytest.mark.parametrize(
    ("event", "error", "text"),
    [
        ({"end": "failed", "reason": "AlgorithmError: x"}, errors.JobFailedError, "AlgorithmError: x"),
        ({"end": "failed", "reason": "CapacityError: none"}, errors.CapacityError, "CapacityError: none"),
        ({"end": "stopped", "reason": "none given"}, errors.JobStoppedError, "it was stopped"),
        ({"end": "timed_out", "reason": "too long"}, errors.JobTimedOutError, "too long"),
        ({"end": "vanished", "reason": "gone"}, errors.JobVanishedError, "no longer exists"),
        (
            {"end": "trouble", "error": "AccessDeniedError", "reason": "expired", "remedy": "Renew them"},
            errors.AccessDeniedError,
            "expired. Renew them",
        ),
    ],
)
def test_every_end_but_completion_is_an_error_of_its_own(
    jobs: Jobs, event: dict[str, Any], error: type[Exception], text: str
) -> None:
    task = operator()
    with pytest.raises(error, match=text) as raised:
        task.execute_complete(context(task), {"job_name": "the-job", **event})
    assert "Training job 'the-job'" in str(raised.value)


def test_completion_gives_the_results(jobs: Jobs) -> None:
    task = operator()
    event = {"job_name": "the-job", "end": "completed", "results": {"model_uri": "s3://x"}}
    assert task.execute_complete(context(task), event) == {"model_uri": "s3://x"}


def test_links_lead_to_the_console(jobs: Jobs) -> None:
    task = operator()
    deferred(task, context(task))
    ti_key: Any = None
    job, logs, output = (link.get_link(task, ti_key=ti_key) for link in task.operator_extra_links)
    assert jobs.created[0]["TrainingJobName"] in job
    assert jobs.created[0]["TrainingJobName"] in logs
    assert f"prefix=builds/{run_key(RUN_ID)}/" in output


def test_a_job_without_outputs_has_no_output_link(jobs: Jobs) -> None:
    with DAG("d", schedule=None):
        bare = ProcessingJobOperator(task_id="t", job=ProcessingJob(image="p"))
        wanted = ProcessingOutput(name="o", path="/opt/ml/processing/output", destination="o/")
        full = ProcessingJobOperator(task_id="u", job=ProcessingJob(image="p", outputs=(wanted,)))
    assert (bare.output_location(), full.output_location()) == (None, "o/")


def test_a_wrong_spec_fails_when_the_dag_is_parsed() -> None:
    with pytest.raises(ValueError, match="hyperparameter"):
        TrainingJob.model_validate({"image": "digits", "output": "o/", "hyperparameter": {}})
