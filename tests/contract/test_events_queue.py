"""A queue of events in place of the poll: what waiting tasks still ask, and how they share it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Collection
from typing import Any

from airflow_sagemaker.triggers.shared_poll_watch import watch_of
from tests.contract.shared_poll_probe import House, Triggerer, ends, fill, house, until, waits

__all__ = ["house"]

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
