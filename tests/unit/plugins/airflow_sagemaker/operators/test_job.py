"""The life cycle of a job's task, with AWS replaced at the hook."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout, TaskDeferred

from airflow_sagemaker import errors
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.kinds import JobKind
from airflow_sagemaker.names import TEMPLATE_MACROS, run_key
from airflow_sagemaker.operators.base import identity_of, start_of, will_retry
from airflow_sagemaker.operators.job import BACKSTOP_S, PENDING_ALLOWANCE_S
from airflow_sagemaker.operators.processing import ProcessingJobOperator
from airflow_sagemaker.operators.training import TrainingJobOperator
from airflow_sagemaker.specs.processing import ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.training import TrainingJob
from airflow_sagemaker.submission import STATE_KEY, NameTakenError
from airflow_sagemaker.task_record import Asked, Start, TaskRecord
from airflow_sagemaker.triggers import worker_wait

RUN_ID = "manual__2026-01-01T00:00:00+00:00"
JOB = TrainingJob(image="digits", output="builds/{{ run_key(run_id) }}/", max_runtime_s=60)


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


class Jobs:
    """What a task did to AWS."""

    def __init__(self) -> None:
        self.created: list[Mapping[str, Any]] = []
        self.stopped: list[str] = []
        self.found: dict[str, Any] | None = None


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    seen = Jobs()

    def create(_: JobHook, kind: JobKind, request: Mapping[str, Any]) -> None:
        if seen.found:
            raise NameTakenError
        seen.created.append(request)

    def describe(_: JobHook, kind: JobKind, name: str) -> dict[str, Any]:
        return {"TrainingJobName": name, "TrainingJobArn": "arn:job", **(seen.found or {})}

    def tags(_: JobHook, arn: str) -> dict[str, str]:
        found: dict[str, str] = (seen.found or {}).get("tags", {})
        return found

    def stop(_: JobHook, kind: JobKind, name: str) -> bool:
        seen.stopped.append(name)
        return True

    monkeypatch.setattr(JobHook, "create", create)
    monkeypatch.setattr(JobHook, "describe", describe)
    monkeypatch.setattr(JobHook, "tags", tags)
    monkeypatch.setattr(JobHook, "stop", stop)
    return seen


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {
        "region_name": "us-east-1",
        "sagemaker": {
            "bucket": "data",
            "role_arn": "arn:aws:iam::123456789012:role/sagemaker",
            "poll_interval_s": 0.5,
        },
    }
    connection = {"conn_type": "aws", "login": "key-id", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps(connection))


def operator(**arguments: Any) -> TrainingJobOperator:
    with DAG("digits__model_build", schedule=None, user_defined_macros=TEMPLATE_MACROS):
        return TrainingJobOperator(task_id="train", **{"job": JOB, **arguments})


def context(task: Any, *, try_number: int = 1, max_tries: int = 0, store: Store | None = None) -> Any:
    ti = SimpleNamespace(
        dag_id="digits__model_build",
        run_id=RUN_ID,
        task_id=task.task_id,
        map_index=-1,
        try_number=try_number,
        max_tries=max_tries,
        task=task,
    )
    found = store if store is not None else Store()
    return {"ti": ti, "run_id": RUN_ID, "task_state_store": found}


def remembering(name: str) -> Store:
    store = Store()
    TaskRecord(store, STATE_KEY).write(Asked(name, "work", 0, Start(max_tries=0), "0.x"))
    return store


def tags_of(request: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in request["Tags"]}


def deferred(task: Any, around: Any) -> TaskDeferred:
    task.render_template_fields(around)
    with pytest.raises(TaskDeferred) as raised:
        task.execute(around)
    return raised.value


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


def test_the_start_of_a_try_is_read_from_its_context() -> None:
    task = operator(retries=2)
    around = context(task, try_number=3, max_tries=4)
    assert start_of(around) == Start(max_tries=4, retries=2, try_number=3, clear_number=0)
    around["dag_run"] = SimpleNamespace(clear_number=5)
    assert start_of(around).clear_number == 5


@pytest.mark.parametrize(
    ("error", "try_number", "expected"),
    [
        (errors.ThrottledError("t", "c", "r"), 1, True),
        (errors.ThrottledError("t", "c", "r"), 2, False),
        (errors.AccessDeniedError("t", "c", "r"), 1, False),
        (RuntimeError("anything"), 1, True),
    ],
    ids=["a retry is left", "none is left", "the policy says no", "none of ours"],
)
def test_whether_a_retry_comes(error: Exception, try_number: int, expected: bool) -> None:
    task = operator(retries=1)
    assert will_retry(task, context(task, try_number=try_number, max_tries=1), error) is expected


def test_a_mapped_task_is_a_task_of_its_own() -> None:
    task = operator()
    around = context(task)
    plain = identity_of(around)
    around["ti"].map_index = 0
    assert identity_of(around).digest != plain.digest
    around["ti"].map_index = None
    assert identity_of(around) == plain


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


def test_parsing_a_dag_imports_no_client(tmp_path: Any) -> None:
    import subprocess

    program = (
        "import sys\n"
        "import airflow_sagemaker.operators.processing, airflow_sagemaker.operators.training\n"
        "import airflow_sagemaker.operators.compilation, airflow_sagemaker.operators.transform\n"
        "import airflow_sagemaker.operators.model, airflow_sagemaker.operators.endpoint\n"
        "heavy = {'boto3', 'botocore', 'aiobotocore', 'sagemaker', 'great_expectations', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=_environment(tmp_path),
    )
    assert done.stdout.splitlines()[-1] == "[]"


def _environment(home: Any) -> dict[str, str]:
    import os

    plugins = next(path for path in sys.path if path.endswith("plugins"))
    return {**os.environ, "AIRFLOW_HOME": str(home), "PYTHONPATH": plugins}
