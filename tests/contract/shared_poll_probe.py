"""Airflow's own shared streams, and a local SageMaker with jobs to wait for; import the fixture to use it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.triggers.shared_stream import SharedStreamManager

from airflow_sagemaker.triggers.job import JobTrigger
from airflow_sagemaker.triggers.polling import PollingTrigger
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
