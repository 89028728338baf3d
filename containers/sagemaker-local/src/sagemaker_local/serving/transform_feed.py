"""How batch transform feeds a model's instances: payloads out, answers back in the order of the input."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import tempfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from sagemaker_local.errors import AwsError
from sagemaker_local.executors.base import LineSink
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.data_processing import DataProcessingError
from sagemaker_local.serving.http import Answer, ConnectionLost
from sagemaker_local.serving.model_server import ModelServer
from sagemaker_local.serving.splitting import RecordTooLarge, assembled, payloads
from sagemaker_local.serving.transform_input import InputObject
from sagemaker_local.serving.transform_request import TransformSettings

RETRY_PAUSE_S = 0.5
RESTART_WAIT_S = 60.0
"""A container that died of a request gets so long to come back before the next attempt counts."""
STREAM_PART_BYTES = 256 * 1024
BODY_START_CHARACTERS = 300


class TransformError(Exception):
    """The job fails; the message is its FailureReason."""


class ObjectError(Exception):
    """One object fails; the others go on, as on AWS."""


class Feed:
    """Feeds objects to the instances.

    Args:
        wanted: How.
        objects: Input and output.
        output: Bucket and key prefix of the outputs.
        work: Directory for spooled outputs.
        servers: The instances.
        data_log: Takes what happens to single objects.
    """

    def __init__(
        self,
        wanted: TransformSettings,
        objects: ObjectStore,
        output: tuple[str, str],
        work: Path,
        servers: Sequence[ModelServer],
        data_log: LineSink,
    ) -> None:
        self._wanted = wanted
        self._objects = objects
        self._bucket, self._prefix = output
        self._work = work
        self._servers = servers
        self._data_log = data_log

    async def run(self, inputs: Sequence[InputObject]) -> None:
        """Transform all objects.

        Raises:
            TransformError: some object failed; the first one's reason, and how many.
        """
        waiting = iter(inputs)
        failures: list[str] = []

        async def work_off(server: ModelServer) -> None:
            for source in waiting:
                try:
                    await self._transform(source, server)
                except ObjectError as error:
                    self._data_log(f"{source.uri}: {error}")
                    failures.append(f"{source.uri}: {error}")

        # Objects of one payload go side by side; of others the payloads do.
        side_by_side = 1 if self._wanted.by_line else self._wanted.max_concurrent
        async with asyncio.TaskGroup() as group:
            for server in self._servers:
                for _ in range(side_by_side):
                    group.create_task(work_off(server))
        if failures:
            others = f" ({len(failures)} of {len(inputs)} objects failed)" if len(inputs) > 1 else ""
            raise TransformError(f"ClientError: {failures[0]}{others}")

    async def _transform(self, source: InputObject, server: ModelServer) -> None:
        handle, name = await asyncio.to_thread(tempfile.mkstemp, dir=self._work, suffix=".out")
        os.close(handle)
        spool = Path(name)
        try:
            with await asyncio.to_thread(spool.open, "w+b") as sink:
                if self._wanted.max_payload_bytes == 0:
                    await self._send_whole(source, server, sink)
                else:
                    await self._send_payloads(source, server, sink)
            key = "/".join(part for part in (self._prefix.strip("/"), f"{source.relative}.out") if part)
            content_type = self._wanted.accept or "application/octet-stream"
            await asyncio.to_thread(self._objects.put, self._bucket, key, spool, content_type=content_type)
        except (AwsError, OSError, EOFError, zlib.error, RecordTooLarge, DataProcessingError) as error:
            raise ObjectError(str(error)) from error
        finally:
            spool.unlink(missing_ok=True)

    async def _send_payloads(self, source: InputObject, server: ModelServer, sink: BinaryIO) -> None:
        """Some requests under way, their answers written in the order in which the payloads were cut."""
        under_way: deque[asyncio.Task[bytes | bytearray]] = deque()

        async def write_oldest() -> None:
            body = assembled(await under_way.popleft(), by_line=self._wanted.assemble_by_line)
            await asyncio.to_thread(sink.write, body)

        try:
            with await asyncio.to_thread(self._open, source) as stream:
                cut = payloads(
                    stream,
                    by_line=self._wanted.by_line,
                    many_records=self._wanted.many_records,
                    max_payload_bytes=self._wanted.max_payload_bytes,
                )
                while (payload := await asyncio.to_thread(next, cut, None)) is not None:
                    under_way.append(asyncio.create_task(self._send_payload(server, payload)))
                    if len(under_way) == self._wanted.max_concurrent:
                        await write_oldest()
                while under_way:
                    await write_oldest()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _send_payload(self, server: ModelServer, payload: bytes) -> bytes | bytearray:
        """One payload through the model; what is kept of it and its answer."""
        processing = self._wanted.processing
        if processing is None:
            return (await self._request(server, payload, None)).body
        sent = await asyncio.to_thread(processing.to_model, payload)
        answer = await self._request(server, sent, None)
        return await asyncio.to_thread(processing.to_output, payload, answer.body)

    async def _send_whole(self, source: InputObject, server: ModelServer, sink: BinaryIO) -> None:
        """MaxPayloadInMB 0: the object as one chunked request, its answer straight to disk."""
        await self._request(server, source, sink)
        if self._wanted.assemble_by_line and not await asyncio.to_thread(_ends_a_line, sink):
            await asyncio.to_thread(sink.write, b"\n")

    async def _request(self, server: ModelServer, body: bytes | InputObject, sink: BinaryIO | None) -> Answer:
        """One request, again after a 5xx, a timeout or a lost container.

        Raises:
            ObjectError: no success; names the status and the start of the body.
        """
        reason = ""
        for attempt in range(self._wanted.retries + 1):
            if attempt:
                await asyncio.sleep(RETRY_PAUSE_S)
                await server.wait_ready(RESTART_WAIT_S)
            try:
                answer = await self._try(server, body, sink)
            except ConnectionLost as error:
                server.suspect()
                reason = str(error)
            except TimeoutError:
                reason = f"the container gave no answer within {self._wanted.timeout_s:g} seconds"
            else:
                if answer.status < 300:
                    return answer
                text = bytes(answer.body).decode("utf-8", "replace")[:BODY_START_CHARACTERS]
                reason = f"the container answered with status {answer.status}: {text}"
                if answer.status < 500:
                    raise ObjectError(reason)
        raise ObjectError(f"{reason} (after {self._wanted.retries} retries)")

    async def _try(self, server: ModelServer, body: bytes | InputObject, sink: BinaryIO | None) -> Answer:
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(server.use())
            if sink is not None:
                sink.truncate(0)
                sink.seek(0)
            sent: bytes | Iterator[bytes] = b""
            if isinstance(body, InputObject):
                stream = stack.enter_context(await asyncio.to_thread(self._open, body))
                sent = iter(lambda: stream.read(STREAM_PART_BYTES), b"")
            else:
                sent = body
            return await client.request(
                "POST",
                "/invocations",
                self._wanted.headers,
                sent,
                timeout_s=self._wanted.timeout_s,
                sink=None if sink is None else lambda part: _write(sink, part),
            )

    def _open(self, source: InputObject) -> BinaryIO:
        stream = self._objects.open(source.bucket, source.key)
        return cast(BinaryIO, gzip.open(stream)) if self._wanted.gzip else stream


def _ends_a_line(sink: BinaryIO) -> bool:
    size = sink.seek(0, os.SEEK_END)
    sink.seek(max(size - 1, 0))
    return sink.read() in (b"\n", b"")


def _write(sink: BinaryIO, part: bytes) -> None:
    sink.write(part)
