"""Waiting, with AWS replaced at the seam where clients are made."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, GetTaskStates, TaskStatesResult
from airflow.triggers.base import TaskSuccessEvent
from botocore.exceptions import ClientError, EndpointConnectionError

from airflow_sagemaker.triggers.job import JobTrigger

ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/job"


def described(status: str, **more: Any) -> dict[str, Any]:
    return {"TrainingJobName": "job", "TrainingJobArn": ARN, "TrainingJobStatus": status, **more}


COMPLETED = described("Completed", ModelArtifacts={"S3ModelArtifacts": "s3://b/model.tar.gz"})
RESULTS = {"job_name": "job", "job_arn": ARN, "model_uri": "s3://b/model.tar.gz", "metrics": {}}


def refusal(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeTrainingJob")


Start = Callable[..., tuple[JobTrigger, Any]]


@pytest.fixture
def start(aws: Any) -> Start:
    def make(*answers: dict[str, Any] | Exception, **fields: Any) -> tuple[JobTrigger, Any]:
        aws.answer("describe", *answers)
        # The list shows nothing of the job, so every sweep makes the trigger look.
        given = {
            "kind": "training_job",
            "job_name": "job",
            "aws_conn_id": "aws_sagemaker",
            "region_name": None,
            "poll_interval_s": 0.001,
            "deadline_s": time.time() + 60,
            **fields,
        }
        return JobTrigger(**given), aws

    return make


async def events(trigger: JobTrigger) -> list[Any]:
    return [event async for event in trigger.run()]


async def payload(trigger: JobTrigger) -> dict[str, Any]:
    (event,) = await events(trigger)
    fired: dict[str, Any] = event.payload
    return fired


def test_it_is_data_that_makes_the_same_trigger_again(start: Start) -> None:
    trigger, _ = start(COMPLETED, deadline_s=5.0, succeed_in_trigger=True, push_results=False)
    path, fields = trigger.serialize()
    assert path == "airflow_sagemaker.triggers.job.JobTrigger"
    assert JobTrigger(**fields).serialize() == (path, fields)


async def test_a_completed_job_is_seen_at_the_first_look(start: Start) -> None:
    trigger, aws = start(COMPLETED)
    assert await payload(trigger) == {"job_name": "job", "end": "completed", "results": RESULTS}
    assert aws.calls.count("describe") == 1


async def test_it_looks_until_the_job_has_ended(start: Start) -> None:
    trigger, aws = start(described("InProgress"), described("InProgress"), COMPLETED)
    assert (await payload(trigger))["end"] == "completed"
    assert aws.calls.count("describe") == 3


@pytest.mark.parametrize(
    ("last", "end", "reason"),
    [
        (described("Failed", FailureReason="AlgorithmError: x"), "failed", "AlgorithmError: x"),
        (described("Stopped"), "stopped", "AWS gives no reason"),
        (described("Stopped", SecondaryStatus="MaxRuntimeExceeded"), "timed_out", "max_runtime_s"),
        (
            described("Failed", FailureReason="longer than MaxRuntimeInSeconds (9)"),
            "timed_out",
            "Seconds (9)",
        ),
        (refusal("ValidationException", "Requested resource not found."), "vanished", "does not know it"),
    ],
)
async def test_only_completed_is_success(
    start: Start, xcoms: dict[str, Any], last: Any, end: str, reason: str
) -> None:
    trigger, _ = start(described("InProgress"), last, succeed_in_trigger=True)
    trigger._task_instance = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)
    fired = await payload(trigger)
    assert fired["end"] == end
    assert reason in fired["reason"]


@pytest.mark.parametrize(
    "trouble",
    [
        refusal("ThrottlingException", "Rate exceeded"),
        refusal("InternalFailure"),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
    ],
    ids=str,
)
async def test_passing_trouble_never_ends_the_wait(start: Start, trouble: Any) -> None:
    if isinstance(trouble, ClientError):
        trouble.response["ResponseMetadata"] = {"HTTPStatusCode": 500}  # type: ignore[typeddict-item]
    trigger, aws = start(*[trouble] * 4, described("InProgress"), trouble, COMPLETED)
    assert (await payload(trigger))["end"] == "completed"
    assert aws.calls.count("describe") == 7


async def test_refused_credentials_end_the_wait_and_say_so(start: Start) -> None:
    trigger, _ = start(described("InProgress"), refusal("ExpiredTokenException", "token expired"))
    fired = await payload(trigger)
    assert (fired["end"], fired["error"]) == ("trouble", "AccessDeniedError")
    assert "token expired" in fired["reason"]
    assert fired["remedy"]


async def test_a_log_that_may_not_be_read_does_not_end_the_wait(start: Start) -> None:
    trigger, aws = start(described("InProgress"), COMPLETED)
    aws.answer("logs", refusal("AccessDeniedException"))
    assert (await payload(trigger))["end"] == "completed"


async def test_what_cannot_be_told_of_a_job_does_not_change_its_end(start: Start) -> None:
    odd = {**COMPLETED, "SecondaryStatusTransitions": [{}]}
    trigger, _ = start(odd)
    assert (await payload(trigger))["end"] == "completed"


async def test_the_deadline_stops_the_job(start: Start) -> None:
    trigger, aws = start(described("InProgress"), deadline_s=0.0)
    assert (await payload(trigger))["end"] == "timed_out"
    assert aws.stopped == ["job"]


@pytest.mark.parametrize(
    ("started_s_ago", "stopped"),
    [(None, []), (30, []), (90, ["job"])],
    ids=["pending", "running", "overran"],
)
async def test_a_transform_has_its_run_time_from_when_it_left_pending(
    start: Start, started_s_ago: int | None, stopped: list[str]
) -> None:
    running: dict[str, Any] = {
        "TransformJobName": "job",
        "TransformJobArn": ARN,
        "TransformJobStatus": "InProgress",
    }
    if started_s_ago is not None:
        running["TransformStartTime"] = datetime.fromtimestamp(time.time() - started_s_ago, UTC)
    completed = {
        **running,
        "TransformJobStatus": "Completed",
        "TransformOutput": {"S3OutputPath": "s3://b/out/"},
    }
    trigger, aws = start(
        running, completed, kind="transform_job", max_runtime_s=60, deadline_s=time.time() + 7200
    )
    assert (await payload(trigger))["end"] == ("timed_out" if stopped else "completed")
    assert aws.stopped == stopped


@pytest.mark.parametrize(
    ("started_s_ago", "end"),
    [(None, "timed_out"), (30, "completed"), (10_000, "timed_out")],
    ids=["pending", "late", "overran"],
)
async def test_a_job_that_got_its_machines_late_has_its_whole_run_time(
    start: Start, started_s_ago: int | None, end: str
) -> None:
    running = described("InProgress")
    if started_s_ago is not None:
        running["TrainingStartTime"] = datetime.fromtimestamp(time.time() - started_s_ago, UTC)
    trigger, aws = start(running, COMPLETED, max_runtime_s=60, deadline_s=0.0)
    # Described again, as after a change of the job.
    assert (await payload(trigger))["end"] == end
    assert aws.stopped == ([] if end == "completed" else ["job"])


async def test_a_job_that_is_being_stopped_is_not_stopped_again(start: Start) -> None:
    trigger, aws = start(described("Stopping"), deadline_s=0.0)
    assert (await payload(trigger))["end"] == "timed_out"
    assert aws.stopped == []


async def test_a_job_that_ended_while_it_was_to_be_stopped_ends_as_it_did(start: Start) -> None:
    trigger, aws = start(described("InProgress"), COMPLETED, deadline_s=0.0)
    aws.answer("stop", refusal("ValidationException", "The job is in status Completed."))
    assert (await payload(trigger))["end"] == "completed"


async def test_a_job_that_describe_does_not_know_yet_is_looked_for_again(start: Start) -> None:
    missing = refusal("ValidationException", "Requested resource not found.")
    trigger, _ = start(missing, described("InProgress"), missing, COMPLETED)
    assert (await payload(trigger))["end"] == "completed"


async def test_replaced_keys_are_found_before_a_refusal_ends_the_wait(start: Start) -> None:
    trigger, _ = start(refusal("ExpiredTokenException"), COMPLETED)
    assert (await payload(trigger))["end"] == "completed"


async def test_a_kill_tries_until_the_job_is_stopped(start: Start) -> None:
    trigger, aws = start(described("InProgress"))
    aws.answer("stop", refusal("ThrottlingException"), refusal("ThrottlingException"), None)
    await trigger.on_kill()
    assert aws.stopped == ["job"]


async def test_a_job_that_completed_by_the_deadline_is_no_failure(start: Start) -> None:
    trigger, aws = start(COMPLETED, deadline_s=0.0)
    assert (await payload(trigger))["end"] == "completed"
    assert aws.stopped == []


async def test_past_the_deadline_it_waits_on_until_the_job_can_be_stopped(start: Start) -> None:
    trigger, aws = start(described("InProgress"), COMPLETED, deadline_s=0.0)
    aws.answer("stop", EndpointConnectionError(endpoint_url="http://127.0.0.1:9"))
    assert (await payload(trigger))["end"] == "completed"


async def test_a_kill_stops_the_job(start: Start) -> None:
    trigger, aws = start(described("InProgress"))
    await trigger.on_kill()
    assert aws.stopped == ["job"]


class Supervisor:
    """The triggerer's way to Airflow, which knows one task."""

    def __init__(self, state: str | None) -> None:
        self.state = state

    def send(self, message: GetTaskStates) -> TaskStatesResult:
        if self.state == "unknown":
            raise AirflowRuntimeError(ErrorResponse())
        return TaskStatesResult(task_states={"r": {"t": self.state}})


@pytest.mark.parametrize(
    ("state", "stopped"),
    [("deferred", []), ("failed", ["job"]), ("success", ["job"]), (None, ["job"]), ("unknown", ["job"])],
)
async def test_what_another_triggerer_has_taken_over_goes_on(
    start: Start, monkeypatch: pytest.MonkeyPatch, state: str | None, stopped: list[str]
) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(state), raising=False)
    trigger, aws = start(described("InProgress"))
    ti: Any = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)
    trigger._task_instance = ti
    await trigger.on_kill()
    assert aws.stopped == stopped


@pytest.mark.parametrize("code", ["ValidationException", "AccessDeniedException"])
async def test_a_kill_never_raises(start: Start, code: str) -> None:
    trigger, aws = start(described("Completed"))
    aws.answer("stop", refusal(code, "The job is in current state Completed"))
    await trigger.on_kill()


async def test_leaving_the_triggerer_stops_nothing(start: Start) -> None:
    trigger, aws = start(described("InProgress"))
    await trigger.cleanup()
    assert aws.stopped == []


class TestEndingInTheTriggerer:
    @pytest.fixture
    def ti(self) -> Any:
        return SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=None)

    async def test_success_leaves_the_results_and_needs_no_worker(
        self, start: Start, xcoms: dict[str, Any], ti: Any
    ) -> None:
        trigger, _ = start(COMPLETED, succeed_in_trigger=True)
        trigger._task_instance = ti
        (event,) = await events(trigger)
        assert isinstance(event, TaskSuccessEvent)
        assert event.xcoms is None  # Airflow 3.3.2 would encode it twice
        where = {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": -1}
        assert xcoms["return_value"] == (RESULTS, where)

    async def test_a_task_that_pushes_nothing_leaves_nothing(
        self, start: Start, xcoms: dict[str, Any], ti: Any
    ) -> None:
        trigger, _ = start(COMPLETED, succeed_in_trigger=True, push_results=False)
        trigger._task_instance = ti
        (event,) = await events(trigger)
        assert isinstance(event, TaskSuccessEvent)
        assert "return_value" not in xcoms

    async def test_where_no_task_is_known_a_worker_ends_it(self, start: Start) -> None:
        trigger, _ = start(COMPLETED, succeed_in_trigger=True)
        assert (await payload(trigger))["results"] == RESULTS

    async def test_where_the_results_cannot_be_stored_a_worker_ends_it(
        self, start: Start, xcoms: dict[str, Any], monkeypatch: pytest.MonkeyPatch, ti: Any
    ) -> None:
        async def aset(*_: Any, **__: Any) -> None:
            raise AirflowRuntimeError(ErrorResponse())

        monkeypatch.setattr(BaseXCom, "aset", aset)
        trigger, _ = start(COMPLETED, succeed_in_trigger=True)
        trigger._task_instance = ti
        assert (await payload(trigger))["results"] == RESULTS


async def test_what_only_its_log_tells_is_among_a_compilations_results(start: Start) -> None:
    trigger, _ = start(
        kind="compilation_job", metric_definitions=[{"Name": "speed_up_1", "Regex": r"up=(\S+)"}]
    )
    results = {"job_name": "job", "job_arn": ARN, "compiled_uri": "s3://b/c.tar.gz", "metrics": {}}
    trigger.listen("proof: rows=1 speed_up=68.88")
    told = trigger.told(trigger.payload("completed", results=results))
    assert told["results"] == {**results, "metrics": {"speed_up_1": 68.88}}
    failed = trigger.payload("failed", reason="not faster")
    assert trigger.told(failed) == failed


async def test_a_training_jobs_metrics_are_describes(start: Start) -> None:
    trigger, _ = start(COMPLETED, metric_definitions=[{"Name": "loss", "Regex": r"loss=(\S+)"}])
    trigger.listen("loss=0.5")
    assert (await payload(trigger))["results"] == RESULTS
