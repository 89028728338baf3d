"""Airflow's own shared streams over a real local SageMaker: what waiting tasks ask, and survive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.triggers.shared_stream import SharedStreamManager
from botocore.exceptions import ClientError

from airflow_sagemaker.triggers.endpoint import EndpointTrigger
from airflow_sagemaker.triggers.job import JobTrigger
from airflow_sagemaker.triggers.polling import PollingTrigger
from airflow_sagemaker.triggers.shared_poll_watch import watch_of
from tests.contract.conftest import LocalServer

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/echo:1"
DEADLINE_S = 240.0
CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
COUNTED = ("List*", "Describe*", "Stop*")
LONG_S = "900"


class Triggerer:
    """What Airflow's ``TriggerRunner.run_trigger`` does with triggers that share a stream."""

    def __init__(self) -> None:
        self.streams = SharedStreamManager()
        self.tasks: dict[str, asyncio.Task[dict[str, Any]]] = {}

    def start(self, task_id: str, trigger: PollingTrigger) -> None:
        self.tasks[task_id] = asyncio.create_task(self._run(len(self.tasks), trigger))

    async def _run(self, number: int, trigger: PollingTrigger) -> dict[str, Any]:
        _, fields = trigger.serialize()
        trigger = type(trigger)(**json.loads(json.dumps(fields)))
        key = trigger.shared_stream_key()
        stream = self.streams.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            (event,) = [event async for event in trigger.filter_shared_stream(stream)]
        finally:
            await self.streams.unsubscribe(number, key)
        payload: dict[str, Any] = event.payload
        return payload

    async def payloads(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(DEADLINE_S):
            return list(await asyncio.gather(*self.tasks.values()))

    async def leave(self) -> None:
        """A shutdown: nothing is stopped."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        await self.streams.stop_all()


class House:
    """A local SageMaker, jobs on it, and the connection that leads there."""

    def __init__(self, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        self._monkeypatch = monkeypatch
        self.sagemaker = server.client("sagemaker", retries={"total_max_attempts": 10})
        self.connect()

    def connect(self, region: str = "us-east-1", **settings: Any) -> None:
        given = {"bucket": "bucket", "role_arn": ROLE, **settings}
        extra = {"region_name": region, "endpoint_url": self.server.url, "sagemaker": given}
        connection = {"conn_type": "aws", "login": "test", "password": "secret", "extra": extra}
        self._monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps(connection))

    def train(self, seconds: str = LONG_S) -> str:
        name = f"train-{uuid.uuid4().hex[:12]}"
        self.sagemaker.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            HyperParameters={"seconds": seconds},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://bucket/models"},
            ResourceConfig=CLUSTER,
            StoppingCondition={"MaxRuntimeInSeconds": 3600},
        )
        return name

    def process(self, seconds: str = LONG_S) -> str:
        name = f"process-{uuid.uuid4().hex[:12]}"
        self.sagemaker.create_processing_job(
            ProcessingJobName=name,
            AppSpecification={
                "ImageUri": IMAGE,
                "ContainerEntrypoint": ["process"],
                "ContainerArguments": [seconds],
            },
            RoleArn=ROLE,
            ProcessingResources={"ClusterConfig": CLUSTER},
        )
        return name

    def tune(self) -> str:
        name = f"tune-{uuid.uuid4().hex[:12]}"
        self.sagemaker.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name,
            HyperParameterTuningJobConfig={
                "Strategy": "Random",
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "rate"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
                "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "rate", "Values": ["1"]}]},
            },
            TrainingJobDefinition={
                "StaticHyperParameters": {"seconds": LONG_S},
                "AlgorithmSpecification": {
                    "TrainingImage": IMAGE,
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "rate", "Regex": "'rate': '([0-9.]+)'"}],
                },
                "RoleArn": ROLE,
                "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
                "ResourceConfig": CLUSTER,
                "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            },
        )
        return name

    def stop(self, kind: str, *names: str) -> None:
        field = {
            "training_job": "TrainingJobName",
            "processing_job": "ProcessingJobName",
            "hyper_parameter_tuning_job": "HyperParameterTuningJobName",
        }[kind]
        for name in names:
            getattr(self.sagemaker, f"stop_{kind}")(**{field: name})

    async def stopped(self, *names: str) -> None:
        """Stop training jobs, and return when they are."""
        self.stop("training_job", *names)
        waiter = self.sagemaker.get_waiter("training_job_completed_or_stopped")
        for name in names:
            await asyncio.to_thread(waiter.wait, TrainingJobName=name, WaiterConfig={"Delay": 1})

    def faults(self, *rules: dict[str, Any]) -> None:
        """Set them, and count every call that none of them hits."""
        counting = [{"service": "sagemaker", "operation": each, "latency_s": 0.001} for each in COUNTED]
        answer = httpx.put(f"{self.server.url}/_local/faults", json={"rules": [*rules, *counting]})
        assert answer.status_code == 200, answer.text

    def rules(self) -> list[dict[str, Any]]:
        """As they were set, with their hits."""
        rules: list[dict[str, Any]] = httpx.get(f"{self.server.url}/_local/faults").json()["rules"]
        return rules

    def calls(self) -> dict[str, int]:
        counting = self.rules()[-len(COUNTED) :]
        return dict(zip(COUNTED, (rule["hits"] for rule in counting), strict=True))


def lasting_port() -> int:
    """A port that stays free while its server is away: none that the kernel gives to whoever asks for any."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, max(lowest, 11_000))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@pytest.fixture
def house(start_server: Callable[..., LocalServer], monkeypatch: pytest.MonkeyPatch) -> House:
    port = lasting_port()
    images = Path(__file__).parent / "images"
    # A port that stays: a restarted server must be found again.
    server = start_server("--jobs", "3", "--port", str(port), containers=images)
    server.client("s3").create_bucket(Bucket="bucket")
    return House(server, monkeypatch)


def waits(kind: str, name: str, **more: Any) -> JobTrigger:
    return JobTrigger(
        **{
            "kind": kind,
            "job_name": name,
            "aws_conn_id": "aws_sagemaker",
            "region_name": None,
            "region": "us-east-1",
            "poll_interval_s": 0.5,
            "deadline_s": time.time() + DEADLINE_S,
            **more,
        }
    )


async def until(what: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            answer = what()
            if answer is True or (answer is not False and await answer):
                return
            await asyncio.sleep(0.1)


async def ends(triggerer: Triggerer) -> set[str]:
    return {payload["end"] for payload in await triggerer.payloads()}


def fill(triggerer: Triggerer, jobs: Mapping[str, Iterable[str]], each: int, **more: Any) -> None:
    for kind, names in jobs.items():
        for name in names:
            for number in range(each):
                triggerer.start(f"{name}-{number}", waits(kind, name, **more))


async def test_many_tasks_ask_no_more_than_one(house: House) -> None:
    jobs = {
        "training_job": [house.train() for _ in range(10)],
        "processing_job": [house.process() for _ in range(10)],
        "hyper_parameter_tuning_job": [house.tune()],
    }
    house.faults()
    triggerer = Triggerer()
    fill(triggerer, jobs, each=10)
    # Ten looks of each of the three polls.
    await until(lambda: house.calls()["List*"] >= 40)
    house.faults()
    await until(lambda: house.calls()["List*"] >= 30)
    calls = house.calls()
    alone = 10 * len(triggerer.tasks)  # describe calls, had each asked for itself
    assert sum(calls.values()) < alone / 20, calls
    for kind, names in jobs.items():
        house.stop(kind, *names)
    assert await ends(triggerer) == {"stopped"}
    assert house.calls()["Stop*"] == 21


async def test_half_of_all_calls_throttled_and_a_restart_fail_no_task(house: House) -> None:
    jobs = {"training_job": [house.train("1"), house.train("5")], "processing_job": [house.process("1")]}
    half = {"service": "*", "error": "throttling", "probability": 0.5}
    house.faults(half)
    triggerer = Triggerer()
    fill(triggerer, jobs, each=5)
    long = house.train()
    fill(triggerer, {"training_job": [long]}, each=1)
    await until(lambda: house.calls()["List*"] > 6)
    house.server.kill()
    await asyncio.sleep(2)
    await asyncio.to_thread(house.server.start)
    house.faults(half)
    await until(lambda: sum(task.done() for task in triggerer.tasks.values()) >= 15)
    house.faults()
    with contextlib.suppress(ClientError):  # the server may have ended it when it was killed
        house.stop("training_job", long)
    payloads = await triggerer.payloads()
    assert {payload["end"] for payload in payloads} <= {"completed", "stopped", "failed"}


async def test_expired_credentials_end_every_wait_and_say_so(house: House) -> None:
    triggerer = Triggerer()
    fill(triggerer, {"training_job": [house.train()]}, each=5)
    house.faults()
    await until(lambda: house.calls()["List*"] > 3)
    house.faults({"service": "sagemaker", "error": "expired-token"})
    payloads = await triggerer.payloads()
    assert {(payload["end"], payload["error"]) for payload in payloads} == {("trouble", "AccessDeniedError")}


async def test_keys_that_were_replaced_in_the_connection_are_found(house: House) -> None:
    triggerer = Triggerer()
    job = house.train()
    fill(triggerer, {"training_job": [job]}, each=5)
    house.faults()
    await until(lambda: house.calls()["List*"] > 3)
    house.faults({"service": "sagemaker", "error": "expired-token", "count": 1})
    await until(lambda: house.calls()["List*"] > 3)
    house.stop("training_job", job)
    assert await ends(triggerer) == {"stopped"}


async def test_a_policy_without_list_makes_each_look_for_itself(house: House) -> None:
    job = house.train()
    house.faults({"service": "sagemaker", "operation": "List*", "error": "access-denied"})
    triggerer = Triggerer()
    fill(triggerer, {"training_job": [job]}, each=3)
    await until(lambda: house.calls()["Describe*"] > 9)
    house.stop("training_job", job)
    assert await ends(triggerer) == {"stopped"}


async def test_a_connection_that_leads_elsewhere_ends_the_wait_and_says_so(house: House) -> None:
    job = house.train()
    house.connect(region="eu-west-1")
    triggerer = Triggerer()
    fill(triggerer, {"training_job": [job]}, each=3)
    for payload in await triggerer.payloads():
        assert (payload["end"], payload["error"]) == ("trouble", "ConnectionSettingsError")
        assert "eu-west-1" in payload["reason"]
        assert "us-east-1" in payload["reason"]


async def test_the_deadline_stops_the_job_once(house: House) -> None:
    job = house.train()
    house.faults({"service": "sagemaker", "operation": "Stop*", "error": "throttling", "count": 2})
    triggerer = Triggerer()
    fill(triggerer, {"training_job": [job]}, each=1, deadline_s=time.time() - 1)
    assert await ends(triggerer) == {"timed_out"}
    assert house.calls()["Stop*"] == 1

    def ended() -> bool:
        described = house.sagemaker.describe_training_job(TrainingJobName=job)
        return bool(described["TrainingJobStatus"] == "Stopped")

    await until(ended)


async def test_a_kill_stops_the_job_whatever_the_api_says_meanwhile(house: House) -> None:
    job = house.train()
    house.faults({"service": "sagemaker", "error": "throttling", "count": 3})
    await waits("training_job", job).on_kill()
    assert house.calls()["Stop*"] == 1


async def test_another_triggerer_takes_over_and_late_comers_join(house: House) -> None:
    job = house.train()
    first = Triggerer()
    fill(first, {"training_job": [job]}, each=3)
    house.faults()
    await until(lambda: house.calls()["List*"] > 3)
    await first.leave()
    assert house.calls()["Stop*"] == 0
    second = Triggerer()
    fill(second, {"training_job": [job]}, each=3)
    before = house.calls()["List*"]
    await until(lambda: house.calls()["List*"] > before + 3)
    house.stop("training_job", job)
    await until(lambda: any(task.done() for task in second.tasks.values()))
    second.start("late", waits("training_job", job))
    assert await ends(second) == {"stopped"}


async def test_an_endpoint_is_waited_for_like_a_job(house: House) -> None:
    name = f"e-{uuid.uuid4().hex[:12]}"
    house.sagemaker.create_model(
        ModelName=name, PrimaryContainer={"Image": IMAGE, "Environment": {}}, ExecutionRoleArn=ROLE
    )
    variant = {"VariantName": "all", "ModelName": name, "InitialInstanceCount": 1}
    house.sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[{**variant, "InstanceType": "ml.m5.large"}]
    )
    house.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    triggerer = Triggerer()
    for wanted in (name, "another"):
        trigger = EndpointTrigger(
            endpoint_name=name,
            wanted_config=wanted,
            results={},
            phase="serve",
            limit_s=600,
            aws_conn_id="aws_sagemaker",
            region_name=None,
            poll_interval_s=0.5,
            deadline_s=time.time() + DEADLINE_S,
        )
        triggerer.start(wanted, trigger)
    assert [payload["end"] for payload in await triggerer.payloads()] == ["completed", "settled"]


STATES = "SageMaker Training Job State Change"


async def waits_for_changes(operation: str, names: Collection[str], poll_interval_s: float) -> None:
    """Return when the first look has shown triggers of the running loop that all these are active."""
    watch = watch_of(waits(operation, "any", poll_interval_s=poll_interval_s).shared_stream_key())
    await until(lambda: len(watch) == len(names) and not watch.newcomers)


class Queue:
    """An SQS queue that the connection names, and a rule that leads SageMaker's events there."""

    def __init__(self, house: House, *, with_rule: bool) -> None:
        self.sqs = house.server.client("sqs")
        self.url = self.sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        if with_rule:
            attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
            events = house.server.client("events")
            events.put_rule(Name="states", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
            target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
            events.put_targets(Rule="states", Targets=[target])
        house.connect(events_queue_url=self.url)

    def send(self, name: str, detail_type: str = STATES, **more: Any) -> None:
        body = {
            "id": uuid.uuid4().hex,
            "detail-type": detail_type,
            "source": "aws.sagemaker",
            "detail": {"TrainingJobName": name},
            **more,
        }
        self.sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps(body))

    def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)


async def test_with_a_queue_of_events_nothing_is_polled(house: House) -> None:
    queue = Queue(house, with_rule=False)
    jobs = [house.train(), house.train()]
    house.faults({"service": "sqs", "operation": "ReceiveMessage", "latency_s": 0.001})
    triggerer = Triggerer()
    # No list but the sweep at the start: at this interval the next one is in a quarter of an hour.
    fill(triggerer, {"training_job": jobs}, each=3, poll_interval_s=30)
    await waits_for_changes("training_job", jobs, 30)
    # From its second look on the queue is relied on.
    await until(lambda: house.rules()[0]["hits"] >= 2)
    before = house.calls()["List*"]
    await house.stopped(*jobs)
    queue.sqs.send_message(QueueUrl=queue.url, MessageBody="no event at all")
    queue.send("a job that nobody waits for")
    for job in jobs:
        for _ in range(3):
            queue.send(job, id=f"the same of {job}")
    assert await ends(triggerer) == {"stopped"}
    assert house.calls()["List*"] == before


async def test_events_of_the_server_end_the_wait(house: House) -> None:
    Queue(house, with_rule=True)
    jobs = {"training_job": [house.train("1")], "processing_job": [house.process("1")]}
    house.faults()
    triggerer = Triggerer()
    fill(triggerer, jobs, each=2, poll_interval_s=30)
    assert await ends(triggerer) == {"completed"}
    assert house.calls()["List*"] <= 8


async def test_two_triggerers_share_a_queue(house: House) -> None:
    queue = Queue(house, with_rule=False)
    jobs = [house.train() for _ in range(6)]
    waiting: list[str] = []

    def other_triggerer(names: list[str]) -> set[str]:
        async def wait() -> set[str]:
            triggerer = Triggerer()
            fill(triggerer, {"training_job": names}, each=1, poll_interval_s=60)
            await waits_for_changes("training_job", names, 60)
            waiting.extend(names)
            return await ends(triggerer)

        return asyncio.run(wait())

    halves = [jobs[:3], jobs[3:]]
    both = asyncio.gather(*[asyncio.to_thread(other_triggerer, half) for half in halves])
    # One that began later would find them stopped, end at once, and leave its messages in the queue.
    await until(lambda: sorted(waiting) == sorted(jobs))
    await house.stopped(*jobs)
    for job in jobs:
        queue.send(job)
    assert await both == [{"stopped"}, {"stopped"}]
    assert queue.left() == 0


async def test_a_queue_that_is_gone_is_polled_around(house: House) -> None:
    house.connect(events_queue_url=f"{house.server.url}/123456789012/no-such-queue")
    job = house.train()
    house.faults()
    triggerer = Triggerer()
    fill(triggerer, {"training_job": [job]}, each=3)
    await until(lambda: house.calls()["List*"] > 4)
    house.stop("training_job", job)
    assert await ends(triggerer) == {"stopped"}
