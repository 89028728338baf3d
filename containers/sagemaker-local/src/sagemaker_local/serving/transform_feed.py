"""How batch transform feeds a model's instances: payloads out, answers back in the order of the input.

Objects go side by side, as many as requests may be under way, so that many small ones keep an instance as
busy as one large one. What is in memory is bounded however they are: a payload is only read once there is
room for it, and the room is free again once its answer is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sagemaker_local.errors import AwsError
from sagemaker_local.executors.base import LineSink
from sagemaker_local.expansion import Expansion
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.data_processing import DataProcessingError
from sagemaker_local.serving.http import ConnectionLost
from sagemaker_local.serving.model_server import ModelServer
from sagemaker_local.serving.splitting import RecordTooLarge, payloads
from sagemaker_local.serving.transform_input import InputObject
from sagemaker_local.serving.transform_output import AnswerBody, Output, Sink
from sagemaker_local.serving.transform_progress import Counted, Progress
from sagemaker_local.serving.transform_request import TransformSettings

RETRY_PAUSE_S = 0.5
RESTART_WAIT_S = 60.0
"""A container that died of a request gets so long to come back before the next attempt counts."""
STREAM_PART_BYTES = 256 * 1024
BODY_START_CHARACTERS = 300
NEW_CONNECTION_BYTES = 1024 * 1024
"""Longer payloads have connections of their own: worker processes take a connection when they are idle, or by
chance, and kept ones might lead all to one of them until the job ends."""
CUT_AT_ONCE_BYTES = 256 * 1024
"""Small payloads are cut so many at a time: a hop to a thread costs as much as a request of one row."""
READ_AHEAD_BYTES = 32 * 1024 * 1024
"""Payloads that wait for an instance, and answers that wait for their turn, beside those under way."""


class TransformError(Exception):
    """The job fails; the message is its FailureReason."""


class ObjectError(Exception):
    """One object fails; the others go on, as on AWS."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A container and what it may have at a time.

    Attributes:
        server: The container.
        slots: Requests under way.
        room: Payloads from being read to their answer's being written.
    """

    server: ModelServer
    slots: asyncio.Semaphore
    room: asyncio.Semaphore

    @classmethod
    def of(cls, server: ModelServer, wanted: TransformSettings) -> Instance:
        """For the settings of a job."""
        under_way = wanted.max_concurrent
        ahead = READ_AHEAD_BYTES // max(wanted.max_payload_bytes, 1)
        if not wanted.many_records:  # a payload is one line then: as many as there are requests is plenty
            ahead = under_way
        room = under_way + max(1, min(under_way, ahead))
        return cls(server, asyncio.Semaphore(under_way), asyncio.Semaphore(room))


class Feed:
    """Feeds objects to the instances.

    Args:
        wanted: How.
        objects: Input and output.
        output: Bucket and key prefix of the outputs.
        work: Directory for long answers.
        servers: The instances.
        data_log: Takes what happens to single objects.
        progress: Is told how far it is.
    """

    def __init__(
        self,
        wanted: TransformSettings,
        objects: ObjectStore,
        output: tuple[str, str],
        work: Path,
        servers: Sequence[ModelServer],
        data_log: LineSink,
        progress: Progress,
    ) -> None:
        self._wanted = wanted
        self._objects = objects
        self._bucket, self._prefix = output
        self._work = work
        self._instances = [Instance.of(server, wanted) for server in servers]
        self._data_log = data_log
        self._progress = progress

    async def run(self, inputs: Sequence[InputObject]) -> None:
        """Transform all objects.

        Raises:
            TransformError: some object failed; the first one's reason, and how many.
        """
        waiting = iter(inputs)
        failures: list[str] = []

        async def work_off(instance: Instance) -> None:
            for source in waiting:
                try:
                    await self._transform(source, instance)
                except ObjectError as error:
                    self._data_log(f"{source.uri}: {error}")
                    failures.append(f"{source.uri}: {error}")

        async with asyncio.TaskGroup() as group:
            for instance in self._instances:
                # One more than requests: while an output is made durable, the next object's are under way.
                for _ in range(self._wanted.max_concurrent + 1):
                    group.create_task(work_off(instance))
        if failures:
            others = f" ({len(failures)} of {len(inputs)} objects failed)" if len(inputs) > 1 else ""
            raise TransformError(f"ClientError: {failures[0]}{others}")

    async def _transform(self, source: InputObject, instance: Instance) -> None:
        output = Output(self._objects)
        try:
            if self._wanted.max_payload_bytes == 0:
                await self._send_whole(source, instance, output)
            else:
                await self._send_payloads(source, instance, output)
            key = "/".join(part for part in (self._prefix.strip("/"), f"{source.relative}.out") if part)
            content_type = self._wanted.accept or "application/octet-stream"
            await asyncio.to_thread(output.commit, self._bucket, key, content_type)
        except (AwsError, OSError, EOFError, zlib.error, RecordTooLarge, DataProcessingError) as error:
            raise ObjectError(str(error)) from error
        finally:
            output.abort()
        self._progress.objects_done += 1
        self._progress.bytes_out += output.size

    async def _send_payloads(self, source: InputObject, instance: Instance, output: Output) -> None:
        """Requests under way, their answers written in the order in which the payloads were cut."""
        answers: asyncio.Queue[asyncio.Task[AnswerBody] | None] = asyncio.Queue()
        tasks: set[asyncio.Task[AnswerBody]] = set()
        held = 0

        async def read() -> None:
            nonlocal held
            ahead: deque[bytes] = deque()
            with await asyncio.to_thread(self._open, source) as stream:
                cut = payloads(
                    stream,
                    by_line=self._wanted.by_line,
                    many_records=self._wanted.many_records,
                    max_payload_bytes=self._wanted.max_payload_bytes,
                )
                while True:
                    await instance.room.acquire()
                    held += 1
                    if not ahead:
                        ahead.extend(await asyncio.to_thread(_some, cut))
                    if not ahead:
                        break
                    task = asyncio.create_task(self._send_payload(instance, ahead.popleft()))
                    tasks.add(task)
                    answers.put_nowait(task)
            held -= 1
            instance.room.release()
            answers.put_nowait(None)

        async def write() -> None:
            nonlocal held
            while (task := await answers.get()) is not None:
                answer = await task
                await answer.pour(output, by_line=self._wanted.assemble_by_line)
                answer.close()
                tasks.discard(task)
                held -= 1
                instance.room.release()

        reading = asyncio.create_task(read())
        writing = asyncio.create_task(write())
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_EXCEPTION)
            for side in (writing, reading):
                if side.done():
                    side.result()
        finally:
            for each in (reading, writing, *tasks):
                each.cancel()
            await asyncio.gather(reading, writing, *tasks, return_exceptions=True)
            for task in tasks:
                if not task.cancelled() and task.exception() is None:
                    task.result().close()
            for _ in range(held):
                instance.room.release()

    async def _send_payload(self, instance: Instance, payload: bytes) -> AnswerBody:
        """One payload through the model; what is kept of it and its answer."""
        processing = self._wanted.processing
        answer = AnswerBody(self._work)
        try:
            sent = payload
            if processing is not None:
                sent = await asyncio.to_thread(processing.to_model, payload)
            async with instance.slots:
                await self._request(instance.server, sent, answer)
            if processing is not None:
                kept = await asyncio.to_thread(processing.to_output, payload, answer.bytes())
                answer.replace(kept)
        except BaseException:
            answer.close()
            raise
        self._progress.answered(_rows(payload), len(payload))
        return answer

    async def _send_whole(self, source: InputObject, instance: Instance, output: Output) -> None:
        """MaxPayloadInMB 0: the object as one chunked request, its answer straight to disk."""
        async with instance.slots:
            await self._request(instance.server, source, output)
        if self._wanted.assemble_by_line and not output.ends_a_line:
            await output.append(b"\n")

    async def _request(self, server: ModelServer, body: bytes | InputObject, sink: Sink) -> None:
        """One request, again after a 5xx, a timeout or a lost container.

        Raises:
            ObjectError: no success; names the status and the start of the body.
        """
        reason = ""
        counted = Counted()
        for attempt in range(self._wanted.retries + 1):
            if attempt:
                sink.clear()
                self._progress.forget(counted)
                await asyncio.sleep(RETRY_PAUSE_S)
                await server.wait_ready(RESTART_WAIT_S)
            try:
                status, start = await self._try(server, body, sink, counted)
            except ConnectionLost as error:
                server.suspect()
                reason = str(error)
            except TimeoutError:
                reason = f"the container gave no answer within {self._wanted.timeout_s:g} seconds"
            else:
                if status < 300:
                    return
                text = start.decode("utf-8", "replace")[:BODY_START_CHARACTERS]
                reason = f"the container answered with status {status}: {text}"
                if status < 500:
                    raise ObjectError(reason)
        raise ObjectError(f"{reason} (after {self._wanted.retries} retries)")

    async def _try(
        self, server: ModelServer, body: bytes | InputObject, sink: Sink, counted: Counted
    ) -> tuple[int, bytes]:
        """One attempt: the status, and the body where it is no success."""
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(server.use())
            sent: bytes | Iterator[bytes] = b""
            if isinstance(body, InputObject):
                stream = stack.enter_context(await asyncio.to_thread(self._open, body))
                sent = self._parts(stream, counted)
            else:
                sent = body
            answer = await client.request(
                "POST",
                "/invocations",
                self._wanted.headers,
                sent,
                timeout_s=self._wanted.timeout_s,
                sink=sink.write,
                keep=isinstance(sent, bytes) and len(sent) < NEW_CONNECTION_BYTES,
            )
        return answer.status, bytes(answer.body[: 4 * BODY_START_CHARACTERS])

    def _parts(self, stream: BinaryIO, counted: Counted) -> Iterator[bytes]:
        while part := stream.read(STREAM_PART_BYTES):
            self._progress.answered(part.count(b"\n"), len(part), counted)
            yield part

    def _open(self, source: InputObject) -> BinaryIO:
        stream = self._objects.open(source.bucket, source.key)
        if not self._wanted.gzip:
            return stream
        return Expansion().gunzip(stream, self._objects.head(source.bucket, source.key).size)


def _some(cut: Iterator[bytes]) -> list[bytes]:
    """The next payload, and those behind it while they are small."""
    some: list[bytes] = []
    size = 0
    while size < CUT_AT_ONCE_BYTES and (payload := next(cut, None)) is not None:
        some.append(payload)
        size += len(payload)
    return some


def _rows(payload: bytes) -> int:
    return payload.count(b"\n") + (not payload.endswith(b"\n"))
