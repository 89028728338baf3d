"""Read state-change events from SQS and wake those who wait.

One reader a queue in a triggerer, whatever the number of kinds. Several triggerers may read one queue: a
message about a job that nobody here waits for goes back, to be found by the one where it is waited for (or to
be here when its task has come), until it is old.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from botocore.exceptions import BotoCoreError, ClientError

from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.hooks.async_clients import shared_client
from airflow_sagemaker.triggers.backoff import Backoff
from airflow_sagemaker.triggers.events import event_of
from airflow_sagemaker.triggers.shared_poll_watch import Watch

log = logging.getLogger(__name__)

LONG_POLL_S = 20
"""The most that SQS allows."""
MESSAGES_PER_CALL = 10
KEPT_S = 300.0
"""A message that nobody waits for is deleted when it is so old: by then whoever comes looks for itself."""
MOST_RETURN_S = 30
"""Out of sight for a while, longer each time, or a triggerer would be handed its own rejects at once."""
REMEMBERED_IDS = 2000
RETRY_S = 5.0
LEAVE_S = 5.0
"""The reader's end waits so long for a call under way."""


class EventQueue:
    """One queue and its reader.

    :ivar is_up: whether events can be relied on now; where not, polls ask AWS as if there were no queue
    """

    def __init__(self, aws_conn_id: str, region_name: str | None, region: str | None, queue_url: str) -> None:
        self.is_up = False
        self.users = 0
        self.task: asyncio.Task[None] | None = None
        self._place = (aws_conn_id, region_name, "sqs", region)
        self._url = queue_url
        self._watches: dict[str, list[Watch]] = {}
        self._told: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def telling(self, operation: str, watch: Watch) -> Iterator[None]:
        """Tell a watch what comes about its kind, while the block lasts."""
        self._watches.setdefault(operation, []).append(watch)
        try:
            yield
        finally:
            self._watches[operation].remove(watch)

    async def read(self) -> None:
        """Read for ever."""
        backoff = Backoff(RETRY_S)
        while True:
            try:
                async with shared_client(*self._place) as client:
                    await self._read(client, wait_s=0)
                    self.is_up = True
                    while True:
                        await self._read(client, wait_s=LONG_POLL_S)
                        backoff.after_success()
            except (ClientError, BotoCoreError, SageMakerError, AirflowRuntimeError, OSError) as error:
                pause_s = backoff.after_trouble()
                log.warning(
                    "The events of %s cannot be read, polling meanwhile: %s. Again in %.0f s",
                    self._url,
                    error,
                    pause_s,
                )
            except Exception:  # a defect of ours: the poll goes on without events
                pause_s = backoff.after_trouble()
                log.exception("The events of %s cannot be read, polling meanwhile", self._url)
            finally:
                self.is_up = False
            await asyncio.sleep(pause_s)

    async def _read(self, client: Any, wait_s: int) -> None:
        answer = await client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=MESSAGES_PER_CALL,
            WaitTimeSeconds=wait_s,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        messages: Sequence[Mapping[str, Any]] = answer.get("Messages", [])
        done = [message for message in messages if self._waiting(message) or _is_old(message)]
        back = [message for message in messages if message not in done]
        # Before anybody is told: who is may be the last to wait here, and the reader ends with it.
        if back:
            entries = [
                {**_entry(number, message), "VisibilityTimeout": _return_s(message)}
                for number, message in enumerate(back)
            ]
            await client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        for message in done:
            self._tell(message)
        if done:
            entries = [_entry(number, message) for number, message in enumerate(done)]
            await _to_its_end(client.delete_message_batch(QueueUrl=self._url, Entries=entries))

    def _waiting(self, message: Mapping[str, Any]) -> list[Watch]:
        """Who waits here for what the message is about."""
        event = event_of(message["Body"])
        if event is None:
            return []
        return [watch for watch in self._watches.get(event.operation, ()) if event.name in watch]

    def _tell(self, message: Mapping[str, Any]) -> None:
        event = event_of(message["Body"])
        if event is None or event.id in self._told:
            return
        waiting = self._waiting(message)
        if waiting:
            self._told[event.id] = None
            if len(self._told) > REMEMBERED_IDS:
                self._told.popitem(last=False)
        for watch in waiting:
            watch.tell(event.name)


_queues: dict[tuple[object, ...], EventQueue] = {}


@asynccontextmanager
async def event_queue(
    aws_conn_id: str, region_name: str | None, region: str | None, queue_url: str
) -> AsyncIterator[EventQueue]:
    """The queue of a connection and its one reader, while the block lasts."""
    key = (id(asyncio.get_running_loop()), aws_conn_id, region_name, region, queue_url)
    queue = _queues.get(key)
    if queue is None:
        queue = _queues[key] = EventQueue(aws_conn_id, region_name, region, queue_url)
    queue.users += 1
    if queue.task is None:
        queue.task = asyncio.create_task(queue.read(), name=f"events of {queue_url}")
    try:
        yield queue
    finally:
        queue.users -= 1
        if not queue.users:
            del _queues[key]
            queue.task.cancel()
            await asyncio.wait([queue.task])


async def _to_its_end(call: Coroutine[Any, Any, object]) -> None:
    """Await a call that a cancellation does not cut short, unless it takes long."""
    task = asyncio.create_task(call)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=LEAVE_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


def _entry(number: int, message: Mapping[str, Any]) -> dict[str, Any]:
    return {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}


def _return_s(message: Mapping[str, Any]) -> int:
    """Uneven, so that several triggerers do not stay in step."""
    received = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
    return random.randint(1, min(2**received, MOST_RETURN_S))


def _is_old(message: Mapping[str, Any]) -> bool:
    sent_ms = float(message.get("Attributes", {}).get("SentTimestamp", 0))
    return time.time() - sent_ms / 1000 > KEPT_S
