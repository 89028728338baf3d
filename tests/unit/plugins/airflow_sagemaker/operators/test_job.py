"""The life cycle of a job's task, with AWS replaced at the hook."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout, TaskDeferred

from airflow_sagemaker import errors
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.kinds import JobKind
from airflow_sagemaker.names import TEMPLATE_MACROS, run_key
from airflow_sagemaker.operators.base import identity_of, tries_before_clear
from airflow_sagemaker.operators.job import BACKSTOP_S, PENDING_ALLOWANCE_S
from airflow_sagemaker.operators.processing import ProcessingJobOperator
from airflow_sagemaker.operators.training import TrainingJobOperator
from airflow_sagemaker.specs.processing import ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.training import TrainingJob
from airflow_sagemaker.submission import STATE_KEY, NameTakenError

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

    monkeypatch.setattr(JobHook, "create", create)
    monkeypatch.setattr(JobHook, "describe", describe)
    monkeypatch.setattr(JobHook, "tags", tags)
    monkeypatch.setattr(JobHook, "stop", lambda _, kind, name: seen.stopped.append(name))
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


def test_waiting_never_gives_up_before_the_jobs_own_time(jobs: Jobs) -> None:
    waiting = deferred(task := operator(), context(task))
    assert waiting.timeout is not None
    assert waiting.timeout.total_seconds() == 60 + PENDING_ALLOWANCE_S + BACKSTOP_S


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
    tags = {tag["Key"]: tag["Value"] for tag in jobs.created[0]["Tags"]}
    jobs.found = {
        "TrainingJobStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://data/model.tar.gz"},
        "tags": tags,
    }
    result = task.execute(around)
    assert result["model_uri"] == "s3://data/model.tar.gz"
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
        task.on_kill()
        jobs.stopped.clear()  # AWS knew no such job then
        jobs.created.append(request)

    monkeypatch.setattr(JobHook, "create", create)
    with pytest.raises(errors.JobStoppedError, match="while the job was being made"):
        task.execute(context(task))
    assert jobs.stopped == [jobs.created[0]["TrainingJobName"]]


def test_a_deferral_timeout_stops_the_job(jobs: Jobs) -> None:
    task, store = operator(), Store({STATE_KEY: {"name": "the-job"}})
    with pytest.raises(errors.JobTimedOutError, match="'the-job'") as raised:
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, context(task, store=store))
    assert isinstance(raised.value.__cause__, TaskDeferralTimeout)
    assert jobs.stopped == ["the-job"]


@pytest.mark.parametrize(("max_tries", "stopped"), [(0, ["the-job"]), (1, [])], ids=["last try", "retried"])
def test_a_broken_trigger_stops_the_job_unless_a_retry_will_find_it(
    jobs: Jobs, max_tries: int, stopped: list[str]
) -> None:
    task, store = operator(retries=max_tries), Store({STATE_KEY: {"name": "the-job"}})
    around = context(task, max_tries=max_tries, store=store)
    with pytest.raises(TaskDeferralError):
        task.resume_execution("__fail__", {"error": "Trigger failure", "traceback": []}, around)
    assert jobs.stopped == stopped


@pytest.mark.parametrize(
    ("retries", "max_tries", "expected"),
    [(0, 0, 0), (2, 2, 0), (2, 3, 1), (0, 4, 4), (3, 2, 0)],
    ids=["first", "retrying", "cleared after one try", "cleared after four", "retries raised meanwhile"],
)
def test_tries_before_a_clear(retries: int, max_tries: int, expected: int) -> None:
    task = operator(retries=retries)
    assert tries_before_clear(context(task, max_tries=max_tries)) == expected


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
