"""Waiting, with AWS replaced at the seam where clients are made."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.triggers.base import TaskSuccessEvent
from botocore.exceptions import ClientError, EndpointConnectionError

from airflow_sagemaker.triggers import job as job_module
from airflow_sagemaker.triggers import polling
from airflow_sagemaker.triggers.job import JobTrigger

ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/job"


def described(status: str, **more: Any) -> dict[str, Any]:
    return {"TrainingJobName": "job", "TrainingJobArn": ARN, "TrainingJobStatus": status, **more}


COMPLETED = described("Completed", ModelArtifacts={"S3ModelArtifacts": "s3://b/model.tar.gz"})
RESULTS = {"job_name": "job", "job_arn": ARN, "model_uri": "s3://b/model.tar.gz", "metrics": {}}


def refusal(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeTrainingJob")


class Aws:
    """Answers to one Describe after the other; the last one stays."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self.answers = list(answers)
        self.looks = 0
        self.stopped: list[str] = []
        self.stop_answer: Exception | None = None
        self.log_answer: Exception | None = None

    async def describe_training_job(self, **_: str) -> dict[str, Any]:
        answer = self.answers[min(self.looks, len(self.answers) - 1)]
        self.looks += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def stop_training_job(self, **name: str) -> None:
        if self.stop_answer:
            raise self.stop_answer
        self.stopped += name.values()

    describe_transform_job, stop_transform_job = describe_training_job, stop_training_job

    async def describe_log_streams(self, **_: Any) -> dict[str, Any]:
        if self.log_answer:
            raise self.log_answer
        return {"logStreams": [{"logStreamName": "job/algo-1-1"}]}

    async def get_log_events(self, **_: Any) -> dict[str, Any]:
        return {"events": [], "nextForwardToken": "end"}


Start = Callable[..., tuple[JobTrigger, Aws]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    def make(*answers: dict[str, Any] | Exception, **fields: Any) -> tuple[JobTrigger, Aws]:
        aws = Aws(*answers)

        @asynccontextmanager
        async def client(*_: Any) -> AsyncIterator[Aws]:
            yield aws

        monkeypatch.setattr(polling, "shared_client", client)
        monkeypatch.setattr(job_module, "shared_client", client)
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
    assert aws.looks == 1


async def test_it_looks_until_the_job_has_ended(start: Start) -> None:
    trigger, aws = start(described("InProgress"), described("InProgress"), COMPLETED)
    assert (await payload(trigger))["end"] == "completed"
    assert aws.looks == 3


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
async def test_only_completed_is_success(start: Start, last: Any, end: str, reason: str) -> None:
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
    assert aws.looks == 7


async def test_refused_credentials_end_the_wait_and_say_so(start: Start) -> None:
    trigger, _ = start(described("InProgress"), refusal("ExpiredTokenException", "token expired"))
    fired = await payload(trigger)
    assert (fired["end"], fired["error"]) == ("trouble", "AccessDeniedError")
    assert "token expired" in fired["reason"]
    assert fired["remedy"]


async def test_a_log_that_may_not_be_read_does_not_end_the_wait(start: Start) -> None:
    trigger, aws = start(described("InProgress"), COMPLETED)
    aws.log_answer = refusal("AccessDeniedException")
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


async def test_a_job_that_completed_by_the_deadline_is_no_failure(start: Start) -> None:
    trigger, aws = start(COMPLETED, deadline_s=0.0)
    assert (await payload(trigger))["end"] == "completed"
    assert aws.stopped == []


async def test_past_the_deadline_it_waits_on_until_the_job_can_be_stopped(start: Start) -> None:
    trigger, aws = start(described("InProgress"), COMPLETED, deadline_s=0.0)
    aws.stop_answer = EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
    assert (await payload(trigger))["end"] == "completed"


async def test_a_kill_stops_the_job(start: Start) -> None:
    trigger, aws = start(described("InProgress"))
    await trigger.on_kill()
    assert aws.stopped == ["job"]


@pytest.mark.parametrize("code", ["ValidationException", "AccessDeniedException"])
async def test_a_kill_never_raises(start: Start, code: str) -> None:
    trigger, aws = start(described("Completed"))
    aws.stop_answer = refusal(code, "The job is in current state Completed")
    await trigger.on_kill()


async def test_leaving_the_triggerer_stops_nothing(start: Start) -> None:
    trigger, aws = start(described("InProgress"))
    await trigger.cleanup()
    assert aws.stopped == []


class TestEndingInTheTriggerer:
    @pytest.fixture
    def stored(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        stored: dict[str, Any] = {}

        async def aset(key: str, value: Any, **where: Any) -> None:
            stored[key] = (value, where)

        monkeypatch.setattr(BaseXCom, "aset", aset)
        return stored

    @pytest.fixture
    def ti(self) -> Any:
        return SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=None)

    async def test_success_leaves_the_results_and_needs_no_worker(
        self, start: Start, stored: dict[str, Any], ti: Any
    ) -> None:
        trigger, _ = start(COMPLETED, succeed_in_trigger=True)
        trigger._task_instance = ti
        (event,) = await events(trigger)
        assert isinstance(event, TaskSuccessEvent)
        assert event.xcoms is None  # Airflow 3.3.2 would encode it twice
        where = {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": -1}
        assert stored == {"return_value": (RESULTS, where)}

    async def test_a_task_that_pushes_nothing_leaves_nothing(
        self, start: Start, stored: dict[str, Any], ti: Any
    ) -> None:
        trigger, _ = start(COMPLETED, succeed_in_trigger=True, push_results=False)
        trigger._task_instance = ti
        (event,) = await events(trigger)
        assert isinstance(event, TaskSuccessEvent)
        assert stored == {}

    async def test_where_no_task_is_known_a_worker_ends_it(self, start: Start) -> None:
        trigger, _ = start(COMPLETED, succeed_in_trigger=True)
        assert (await payload(trigger))["results"] == RESULTS

    async def test_where_the_results_cannot_be_stored_a_worker_ends_it(
        self, start: Start, monkeypatch: pytest.MonkeyPatch, ti: Any
    ) -> None:
        async def aset(*_: Any, **__: Any) -> None:
            raise AirflowRuntimeError(ErrorResponse())

        monkeypatch.setattr(BaseXCom, "aset", aset)
        trigger, _ = start(COMPLETED, succeed_in_trigger=True)
        trigger._task_instance = ti
        assert (await payload(trigger))["results"] == RESULTS
