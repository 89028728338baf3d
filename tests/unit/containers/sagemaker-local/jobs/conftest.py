"""A job engine on real stores with the best sandbox of this machine, and short requests for jobs."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sagemaker_local.app import SAGEMAKER
from sagemaker_local.executors.choice import choose_executor
from sagemaker_local.faults.plan import FaultPlan
from sagemaker_local.jobs.engine import JobEngine
from sagemaker_local.jobs.kinds import KINDS
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.services import Services
from sagemaker_local.settings import Settings
from sagemaker_local.store import Store

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
WAIT_S = 120.0


class Jobs:
    """The server's parts that run jobs, and the API's handlers on top of them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.data_dir / "sagemaker.sqlite")
        self.objects = ObjectStore(settings.data_dir / "s3")
        self.logs = LogStore(settings.data_dir / "logs")
        self.faults = FaultPlan()
        self.executor = choose_executor(settings)
        self.engine = JobEngine(
            settings=settings, store=self.store, objects=self.objects, logs=self.logs,
            executor=self.executor, faults=self.faults,
        )  # fmt: skip
        parts: dict[str, Any] = {
            "settings": settings, "store": self.store, "objects": self.objects, "logs": self.logs,
            "executor": self.executor, "jobs": self.engine, "faults": self.faults,
        }  # fmt: skip
        # Nothing of jobs asks for the others.
        absent: dict[str, Any] = {each.name: None for each in dataclasses.fields(Services) if each.init}
        self.services = Services(**(absent | parts))
        if not self.objects.bucket_exists("bucket"):
            self.objects.create_bucket("bucket")

    async def call(self, operation: str, **request: Any) -> dict[str, Any]:
        return await SAGEMAKER[operation](self.services, request)

    async def train(self, name: str, image: str, **more: Any) -> None:
        request: dict[str, Any] = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        }
        await self.call("CreateTrainingJob", **{**request, **more})

    async def process(self, name: str, image: str, **more: Any) -> None:
        request: dict[str, Any] = {
            "ProcessingJobName": name,
            "AppSpecification": {"ImageUri": image, "ContainerEntrypoint": ["train"]},
            "RoleArn": ROLE,
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
        }
        await self.call("CreateProcessingJob", **{**request, **more})

    def document(self, kind: str, name: str) -> dict[str, Any]:
        return self.store.get(kind, name).document

    async def ended(self, kind: str, name: str) -> dict[str, Any]:
        return await self.until(kind, name, lambda document: document[KINDS[kind].status_field]
                                not in KINDS[kind].statuses.alive)  # fmt: skip

    async def until(self, kind: str, name: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_S
        while not reached(document := self.document(kind, name)):
            assert time.monotonic() < deadline, document
            await asyncio.sleep(0.02)
        return document

    async def printed(self, kind: str, name: str, text: str) -> None:
        """Wait until the job's log holds a line."""
        deadline = time.monotonic() + WAIT_S
        while text not in self.lines(kind, name):
            assert time.monotonic() < deadline, self.lines(kind, name)
            await asyncio.sleep(0.02)

    def lines(self, kind: str, name: str) -> list[str]:
        group = KINDS[kind].log_group
        try:
            streams = self.logs.describe_streams(group, prefix=f"{name}/")
        except LookupError:
            return []
        return [event.message for stream in streams for event in self.logs.get_events(group, stream.name)]

    def put(self, key: str, body: bytes) -> None:
        self.objects.put("bucket", key, body)

    def read(self, key: str) -> bytes:
        with self.objects.open("bucket", key) as stream:
            return stream.read()

    def keys(self, prefix: str = "") -> list[str]:
        return [found.key for found in self.objects.iter_objects("bucket", prefix)]


@pytest.fixture
async def jobs(settings: Settings) -> AsyncIterator[Jobs]:
    """Running jobs, each test with its own."""
    running = Jobs(settings)
    await running.engine.start()
    yield running
    await running.engine.close()
    running.store.close()
