"""Reading events, with SQS replaced at the seam where clients are made."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_sagemaker.hooks import async_clients
from airflow_sagemaker.triggers import events_queue
from airflow_sagemaker.triggers.events_queue import EventQueue, event_queue
from airflow_sagemaker.triggers.shared_poll_watch import Watch

URL = "http://sqs/queue"


class Sqs:
    """One queue."""

    def __init__(self) -> None:
        self.waiting: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.returned: dict[str, int] = {}
        self.troubles: list[Exception] = []
        self.receives = 0
        self.changed = asyncio.Event()

    def put(self, name: str, *, age_s: float = 0.0, received: int = 1, id: str = "") -> None:
        body = {
            "id": id or name,
            "detail-type": "SageMaker Training Job State Change",
            "detail": {"TrainingJobName": name},
        }
        self.waiting.append(
            {
                "Body": json.dumps(body),
                "ReceiptHandle": f"{name}-{len(self.waiting)}",
                "Attributes": {
                    "SentTimestamp": str(int((time.time() - age_s) * 1000)),
                    "ApproximateReceiveCount": str(received),
                },
            }
        )

    async def receive_message(self, **request: Any) -> dict[str, Any]:
        self.receives += 1
        self.changed.set()
        if self.troubles:
            raise self.troubles.pop(0)
        assert request["QueueUrl"] == URL
        if not self.waiting and request["WaitTimeSeconds"]:
            await asyncio.sleep(0.005)
        count = request["MaxNumberOfMessages"]
        page, self.waiting = self.waiting[:count], self.waiting[count:]
        return {"Messages": page} if page else {}

    async def delete_message_batch(self, **request: Any) -> None:
        self.deleted += [entry["ReceiptHandle"] for entry in request["Entries"]]
        assert len({entry["Id"] for entry in request["Entries"]}) == len(request["Entries"])

    async def change_message_visibility_batch(self, **request: Any) -> None:
        for entry in request["Entries"]:
            self.returned[entry["ReceiptHandle"]] = entry["VisibilityTimeout"]

    async def read(self) -> None:
        """Return when what was there has been handled."""
        before = self.receives
        while self.receives < before + 3:
            self.changed.clear()
            await self.changed.wait()


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Sqs:
    queue = Sqs()

    @asynccontextmanager
    async def client() -> AsyncIterator[Sqs]:
        yield queue

    async def context(*_: Any) -> Any:
        return client()

    monkeypatch.setattr(async_clients, "_client_context", context)
    monkeypatch.setattr(events_queue, "RETRY_S", 0.001)
    return queue


def reading() -> Any:
    return event_queue("aws_sagemaker", None, "us-east-1", URL)


async def test_an_event_is_told_to_who_waits_and_is_done_with(sqs: Sqs) -> None:
    watch = Watch()
    sqs.put("job")
    async with reading() as queue:
        with queue.telling("training_job", watch), watch.waiting("job"):
            assert await watch.woken(60)
            assert watch.take_told() == {"job"}
            await sqs.read()
    assert sqs.deleted == ["job-0"]
    assert sqs.returned == {}


async def test_the_last_to_wait_here_leaves_no_message_out_of_sight(
    sqs: Sqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()
    delete, asked = sqs.delete_message_batch, asyncio.Event()

    async def slow(**request: Any) -> None:
        asked.set()
        await asyncio.sleep(0.05)
        await delete(**request)

    monkeypatch.setattr(sqs, "delete_message_batch", slow)
    sqs.put("job")
    sqs.put("of another triggerer")
    async with reading() as queue:
        with queue.telling("training_job", watch), watch.waiting("job"):
            assert await watch.woken(60)
            await asked.wait()
    assert sqs.deleted == ["job-0"]
    assert list(sqs.returned) == ["of another triggerer-1"]


async def test_the_same_event_is_told_once_and_a_later_one_again(sqs: Sqs) -> None:
    watch = Watch()
    async with reading() as queue:
        with queue.telling("training_job", watch), watch.waiting("job"):
            sqs.put("job", id="1")
            await sqs.read()
            assert watch.take_told() == {"job"}
            sqs.put("job", id="1")
            await sqs.read()
            assert watch.take_told() == frozenset()
            sqs.put("job", id="2")
            await sqs.read()
            assert watch.take_told() == {"job"}
    assert len(sqs.deleted) == 3


async def test_what_nobody_waits_for_goes_back_until_it_is_old(sqs: Sqs) -> None:
    watch = Watch()
    sqs.put("young")
    sqs.put("often", received=9)
    sqs.put("old", age_s=600)
    sqs.waiting.append({"Body": "no event", "ReceiptHandle": "other", "Attributes": {}})
    async with reading() as queue:
        # Of that name, but of another kind.
        with queue.telling("processing_job", watch), watch.waiting("young"):
            await sqs.read()
            assert watch.take_told() == frozenset()
    assert sqs.deleted == ["old-2", "other"]
    assert sqs.returned.keys() == {"young-0", "often-1"}
    assert 1 <= sqs.returned["young-0"] <= 2
    assert 1 <= sqs.returned["often-1"] <= 30


async def test_trouble_takes_it_down_and_an_answer_up_again(sqs: Sqs) -> None:
    refused = ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "ReceiveMessage")
    sqs.troubles = [refused, KeyError("a mistake"), refused]
    async with reading() as queue:
        await sqs.read()
        assert not queue.is_up
        await sqs.read()
        assert queue.is_up
        sqs.troubles = [refused] * 1000
        await sqs.read()
        assert not queue.is_up


async def test_kinds_share_one_reader_and_the_last_one_ends_it(sqs: Sqs) -> None:
    async with reading() as one:
        async with reading() as other:
            assert one is other
        assert isinstance(one, EventQueue)
        assert one.task is not None
        assert not one.task.done()
    assert one.task.done()
    assert events_queue._queues == {}
