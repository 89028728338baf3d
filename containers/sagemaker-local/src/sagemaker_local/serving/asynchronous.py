"""Asynchronous inference: requests wait in a durable queue, their answers become objects.

At least once: what was under way when the server ended is done again. It ends in exactly one object, because
the object's key was fixed when the request was accepted. Source:
https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference.html
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sagemaker_local.cloudwatch.invocations import NAMESPACE
from sagemaker_local.cloudwatch.metric_store import MetricStore
from sagemaker_local.errors import AwsError
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.artefact import Artefact, ArtefactError
from sagemaker_local.serving.asynchronous_notification import notification
from sagemaker_local.serving.asynchronous_queue import AsynchronousQueue, Entry
from sagemaker_local.serving.fleet import Fleet
from sagemaker_local.serving.invocation import Invoker
from sagemaker_local.serving.invocation_errors import (
    LostRequest,
    ModelError,
    ModelNotReady,
    ServiceUnavailable,
    Throttled,
)
from sagemaker_local.serving.invocation_request import Invocation
from sagemaker_local.serving.supervisor import EndpointSupervisor
from sagemaker_local.settings import Settings
from sagemaker_local.store import NotFound, Store

logger = logging.getLogger(__name__)

CONCURRENCY_DEFAULT = 4
"""Requests to one instance at a time, where MaxConcurrentInvocationsPerInstance does not say."""
POLL_S = 0.5
REPORT_S = 10.0
"""How often the length of the queue becomes a metric."""
RETRY_PAUSE_S = 1.0
LOST_ATTEMPTS = 3
"""A request that so many containers went away with has failed."""
INPUT_BYTES = 1024**3
CONTENT_TYPE_DEFAULT = "application/octet-stream"

Publish = Callable[[str, str], None]
"""Publishes a message to an SNS topic; blocking."""


class AsynchronousInference:
    """Works off the queue.

    Args:
        settings: The region, for notifications.
        store: Tells which endpoints there are.
        objects: Holds inputs, outputs and failures.
        endpoints: What serves.
        invoker: Takes requests to containers.
        metrics: Takes the length of the queue.
        publish: Tells SNS.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        objects: ObjectStore,
        endpoints: EndpointSupervisor,
        invoker: Invoker,
        metrics: MetricStore,
        publish: Publish,
    ) -> None:
        self.queue = AsynchronousQueue(settings.data_dir / "asynchronous.sqlite")
        self._region = settings.region
        self._store = store
        self._objects = objects
        self._endpoints = endpoints
        self._invoker = invoker
        self._metrics = metrics
        self._publish = publish
        self._reported: dict[str, float] = {}
        self._under_way: dict[str, dict[int, asyncio.Task[None]]] = {}
        self._woken = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what an earlier server left."""
        self._working = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop; what is under way is done again by the next server."""
        tasks = [task for each in self._under_way.values() for task in each.values()]
        if self._working is not None:
            tasks.append(self._working)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.queue.close()

    def wake(self) -> None:
        """There is something new in the queue."""
        self._woken.set()

    async def _work(self) -> None:
        while True:
            pause_s: float | None = POLL_S
            try:
                backlog = await asyncio.to_thread(self.queue.backlog)
                self._report(backlog)
                await self._dispatch(backlog)
                if not backlog:
                    pause_s = REPORT_S if self._reported else None
            except Exception:  # one bad round must not be the last
                logger.exception("the queue of asynchronous invocations is not worked off")
            # Not wait_for: in Python 3.11 it loses a cancellation that comes together with its result.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()
            self._woken.clear()

    def _report(self, backlog: Mapping[str, int]) -> None:
        """What autoscaling looks at; 0 too, for endpoints that had something to do."""
        for name in {*backlog, *self._reported}:
            if time.monotonic() - self._reported.get(name, -REPORT_S) < REPORT_S:
                continue
            self._reported[name] = time.monotonic()
            fleet = self._endpoints.fleet(name)
            size, instances = backlog.get(name, 0), len(fleet.servers) if fleet is not None else 0
            metrics = {
                "ApproximateBacklogSize": size,
                "ApproximateBacklogSizePerInstance": size / max(1, instances),
                "HasBacklogWithoutCapacity": float(size > 0 and not instances),
            }
            for metric, value in metrics.items():
                self._metrics.put(NAMESPACE, metric, {"EndpointName": name}, value, "Count")
            if not size and fleet is None:
                del self._reported[name]

    async def _dispatch(self, backlog: Mapping[str, int]) -> None:
        for name in backlog:
            try:
                created = self._store.get("endpoint", name).document["CreationTime"]
            except NotFound:
                created = None
            under_way = self._under_way.setdefault(name, {})
            fleet = self._endpoints.fleet(name)
            config = fleet.plan.asynchronous if fleet is not None else None
            if created is None or (fleet is not None and config is None):
                await asyncio.to_thread(self.queue.forget, name, None)
                continue
            if fleet is None or config is None:
                continue  # it is coming up
            free = _places(fleet, config) - len(under_way)
            if free <= 0:
                continue
            for entry in await asyncio.to_thread(self.queue.oldest, name, free, list(under_way)):
                if entry.endpoint_created != created:
                    await asyncio.to_thread(self.queue.forget, name, created)
                    break
                under_way[entry.id] = asyncio.create_task(self._guarded(entry, config))

    async def _guarded(self, entry: Entry, config: Mapping[str, Any]) -> None:
        try:
            await self._live(entry, config)
        except Exception:  # a defect of ours: it stays in the queue and is tried again
            logger.exception("asynchronous invocation %s of %s", entry.request.inference_id, entry.endpoint)
            await asyncio.sleep(RETRY_PAUSE_S)
        finally:
            del self._under_way[entry.endpoint][entry.id]
            self.wake()

    async def _live(self, entry: Entry, config: Mapping[str, Any]) -> None:
        """A request from its turn to its end."""
        told = entry.notification
        if told is None:
            told = await self._outcome(entry, config)
            await asyncio.to_thread(self.queue.ended, entry, told)
        if told:
            try:
                await asyncio.to_thread(self._publish, told["topic"], told["message"])
            except Exception:  # the answer is stored, whether or not somebody hears of it
                logger.exception("nobody is told of %s", entry.request.inference_id)
        await asyncio.to_thread(self.queue.remove, entry.id)

    async def _outcome(self, entry: Entry, config: Mapping[str, Any]) -> dict[str, Any]:
        """Invoke, and put what comes of it where it belongs; what is left to tell."""
        reason, content_type, response = await self._answer(entry)
        location = entry.request.output if reason is None else entry.request.failure
        if location is not None:
            try:
                bucket, key = Artefact(location).location
                kind = content_type or CONTENT_TYPE_DEFAULT
                await asyncio.to_thread(self._objects.put, bucket, key, response, content_type=kind)
            except (AwsError, ArtefactError) as error:
                logger.warning("asynchronous invocation %s: %s", entry.request.inference_id, error)
                reason = reason or f"ClientError: Failed to upload the output to {location}: {error}"
        return notification(
            config, self._region, entry, reason=reason, content_type=content_type, response=response
        )

    async def _answer(self, entry: Entry) -> tuple[str | None, str | None, bytes]:
        """Why it failed (or None), the content type, and the answer or the error's text."""
        request = entry.request
        lost = 0
        while True:
            if time.time() > request.received_s + request.ttl_s:
                return _failed(f"ClientError: Request expired after {request.ttl_s:g} seconds in the queue.")
            try:
                body = await asyncio.to_thread(self._input, entry)
            except (AwsError, ArtefactError) as error:
                return _failed(f"ClientError: Failed to download the input {request.input_location}: {error}")
            invocation = Invocation(
                entry.endpoint, request.headers, body, str(uuid.uuid4()), timeout_s=request.timeout_s
            )
            try:
                answer = await self._invoker.invoke(invocation)
            except ModelError as error:
                original = str(error.fields["OriginalMessage"]).encode()
                return f"ClientError: {error.message}", "text/plain", original
            except LostRequest as error:
                lost += 1
                if lost == LOST_ATTEMPTS:
                    return _failed(f"InternalServerError: {error.message}")
            except (ServiceUnavailable, ModelNotReady, Throttled) as error:
                logger.info("asynchronous invocation %s waits: %s", request.inference_id, error.message)
            except AwsError as error:
                return _failed(f"ClientError: {error.message}")
            else:
                return None, answer.headers.get("content-type"), bytes(answer.body)
            await asyncio.sleep(RETRY_PAUSE_S)

    def _input(self, entry: Entry) -> bytes:
        if entry.request.input_location is None:
            return entry.body or b""
        bucket, key = Artefact(entry.request.input_location).location
        size_bytes = self._objects.head(bucket, key).size
        if size_bytes > INPUT_BYTES:
            raise ArtefactError(f"it has {size_bytes} bytes; {INPUT_BYTES} are the most")
        with self._objects.open(bucket, key) as source:
            return source.read()


def _places(fleet: Fleet, config: Mapping[str, Any]) -> int:
    """How many requests a fleet takes at a time."""
    client = config.get("ClientConfig", {})
    each: int = client.get("MaxConcurrentInvocationsPerInstance", CONCURRENCY_DEFAULT)
    return each * len(fleet.servers)


def _failed(reason: str) -> tuple[str, str, bytes]:
    return reason, "text/plain", reason.encode()
