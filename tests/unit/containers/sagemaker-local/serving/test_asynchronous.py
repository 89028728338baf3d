"""The queue of asynchronous invocations: each is done, told and forgotten once, whoever dies when."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sagemaker_local.cloudwatch.metric_store import MetricStore
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving import asynchronous
from sagemaker_local.serving.asynchronous import AsynchronousInference
from sagemaker_local.serving.asynchronous_queue import AsynchronousQueue, AsynchronousRequest
from sagemaker_local.serving.http import Answer
from sagemaker_local.serving.invocation import Invoker
from sagemaker_local.serving.invocation_errors import ServiceUnavailable
from sagemaker_local.serving.invocation_request import Invocation
from sagemaker_local.serving.supervisor import EndpointSupervisor
from sagemaker_local.settings import Settings
from sagemaker_local.store import Record, Store

NAME, CREATED = "endpoint", 1000.0
TOPIC = "arn:aws:sns:us-east-1:123456789012:done"
CONFIG = {"OutputConfig": {"S3OutputPath": "s3://out", "NotificationConfig": {"SuccessTopic": TOPIC}}}


def request(name: str, *, age_s: float = 0) -> AsynchronousRequest:
    return AsynchronousRequest(
        name, f"s3://out/{name}", f"s3://out/{name}-error", time.time() - age_s, 600, 5
    )


class World:
    """Everything around the queue: an endpoint that answers with its input, and what it was asked."""

    def __init__(self, tmp_path: Path) -> None:
        self.settings = Settings(data_dir=tmp_path, containers_dir=tmp_path)
        self.store = Store(tmp_path / "sagemaker.sqlite")
        self.store.insert(Record("endpoint", NAME, "arn:endpoint", {"CreationTime": CREATED}))
        self.objects = ObjectStore(tmp_path / "s3")
        self.objects.create_bucket("out")
        self.metrics = MetricStore(tmp_path / "cloudwatch")
        self.fleet: Any = SimpleNamespace(plan=SimpleNamespace(asynchronous=CONFIG), servers=[1])
        self.asked: list[bytes] = []
        self.told: list[str] = []
        self.refusals = 0

    async def invoke(self, invocation: Invocation) -> Answer:
        self.asked.append(invocation.body)
        if self.refusals:
            self.refusals -= 1
            raise ServiceUnavailable("not now")
        return Answer(200, {}, bytearray(invocation.body))

    def inference(self) -> AsynchronousInference:
        return AsynchronousInference(
            self.settings,
            self.store,
            self.objects,
            cast(EndpointSupervisor, SimpleNamespace(fleet=lambda name: self.fleet)),
            cast(Invoker, self),
            self.metrics,
            lambda topic, message: self.told.append(json.loads(message)["inferenceId"]),
        )


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(asynchronous, "RETRY_PAUSE_S", 0.01)
    made = World(tmp_path)
    yield made
    made.metrics.close()
    made.objects.close()


async def worked_off(inference: AsynchronousInference) -> None:
    """Run until the queue is empty."""
    async with asyncio.timeout(60):
        await inference.start()
        while inference.queue.backlog():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)
        await inference.close()


async def test_each_is_done_and_told_once_and_then_forgotten(world: World) -> None:
    inference = world.inference()
    for number in range(20):
        inference.queue.add(NAME, CREATED, request(str(number)), f"body {number}".encode())
    await worked_off(inference)
    assert sorted(world.asked) == sorted(f"body {number}".encode() for number in range(20))
    assert sorted(world.told) == sorted(str(number) for number in range(20))
    for number in range(20):
        with world.objects.open("out", str(number)) as stored:
            assert stored.read() == f"body {number}".encode()


async def test_what_has_its_outcome_is_only_told_after_a_kill(world: World) -> None:
    inference = world.inference()
    inference.queue.add(NAME, CREATED, request("kept"), b"body")
    (entry,) = inference.queue.oldest(NAME, 1, ())
    inference.queue.ended(entry, {"topic": TOPIC, "message": json.dumps({"inferenceId": "kept"})})
    await worked_off(inference)
    assert (world.asked, world.told) == ([], ["kept"])


async def test_an_endpoint_does_not_get_what_an_earlier_one_of_its_name_was_asked(world: World) -> None:
    inference = world.inference()
    inference.queue.add(NAME, CREATED - 1, request("earlier"), b"earlier")
    inference.queue.add(NAME, CREATED, request("mine"), b"mine")
    await worked_off(inference)
    assert world.asked == [b"mine"]


async def test_a_request_waits_for_a_container_and_expires(world: World) -> None:
    inference = world.inference()
    world.refusals = 3
    inference.queue.add(NAME, CREATED, request("waits"), b"waits")
    inference.queue.add(NAME, CREATED, request("late", age_s=601), b"late")
    await worked_off(inference)
    assert world.asked.count(b"waits") == 4
    assert b"late" not in world.asked
    with world.objects.open("out", "late-error") as stored:
        assert b"expired" in stored.read()


@pytest.mark.parametrize("steps", range(6))
async def test_it_closes_though_it_is_woken_at_the_same_moment(world: World, steps: int) -> None:
    for _ in range(5):
        inference = world.inference()
        inference.queue.add(NAME, CREATED, request("first"), b"")
        async with asyncio.timeout(60):
            await inference.start()
            while inference.queue.backlog():  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            inference.wake()
            for _ in range(steps):
                await asyncio.sleep(0)
            await inference.close()


async def test_the_queue_of_an_endpoint_that_is_no_more_is_dropped(world: World) -> None:
    inference = world.inference()
    inference.queue.add(NAME, CREATED, request("gone"), b"gone")
    world.store.delete("endpoint", NAME)
    world.fleet = None
    await worked_off(inference)
    assert world.asked == []


def test_the_oldest_come_first_without_those_under_way(tmp_path: Path) -> None:
    queue = AsynchronousQueue(tmp_path / "queue.sqlite")
    for number in range(5):
        queue.add(NAME, CREATED, request(str(number)), None)
    names = [entry.request.inference_id for entry in queue.oldest(NAME, 2, [1, 3])]
    assert names == ["1", "3"]
    assert queue.backlog() == {NAME: 5}
