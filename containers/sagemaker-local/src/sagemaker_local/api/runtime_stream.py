"""InvokeEndpointWithResponseStream: a container's answer in parts, as they come.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from sagemaker_local import event_stream, limits
from sagemaker_local.errors import AwsError
from sagemaker_local.serving.http import Answer
from sagemaker_local.serving.invocation import Invoker
from sagemaker_local.serving.invocation_errors import LostRequest, ModelError
from sagemaker_local.serving.invocation_request import Invocation

STREAM_TIMEOUT_S = 480.0
"""AWS ends a stream after eight minutes."""
WAITING_BYTES = 64 * limits.MIB
"""A caller who reads so far behind the container is cut off."""
HEADERS = {
    "content-type": "x-amzn-sagemaker-content-type",
    "x-amzn-sagemaker-custom-attributes": "x-amzn-sagemaker-custom-attributes",
}
"""The container's headers that the caller gets, and what they are called then."""


class TooSlow(Exception):
    """The caller does not read."""


class _Parts:
    """The parts between the container and the caller."""

    def __init__(self) -> None:
        self.headed: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waiting_bytes = 0

    def head(self, answer: Answer) -> None:
        if not self.headed.done():
            self.headed.set_result(answer)

    def add(self, part: bytes) -> None:
        self._waiting_bytes += len(part)
        if self._waiting_bytes > WAITING_BYTES:
            raise TooSlow
        self._queue.put_nowait(part)

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def next(self) -> bytes | None:
        part = await self._queue.get()
        self._waiting_bytes -= len(part or b"")
        return part


async def stream(invoker: Invoker, invocation: Invocation) -> Response:
    """The answer, once the container has begun one.

    Raises:
        AwsError: it has not, or it is an error.
    """
    parts = _Parts()
    invocation.timeout_s = STREAM_TIMEOUT_S
    task = asyncio.create_task(invoker.invoke(invocation, sink=parts.add, headed=parts.head))
    task.add_done_callback(lambda _: parts.end())
    try:
        await asyncio.wait({task, parts.headed}, return_when=asyncio.FIRST_COMPLETED)
        if not parts.headed.done() or parts.headed.result().status >= 300:
            await task
    except BaseException:
        task.cancel()
        raise
    answered = parts.headed.result().headers
    headers = {name: answered[given] for given, name in HEADERS.items() if given in answered}
    headers["x-amzn-invoked-production-variant"] = invocation.variant
    return StreamingResponse(_events(task, parts), media_type=event_stream.CONTENT_TYPE, headers=headers)


async def _events(task: asyncio.Task[Answer], parts: _Parts) -> AsyncIterator[bytes]:
    try:
        while (part := await parts.next()) is not None:
            yield event_stream.event("PayloadPart", part)
        try:
            await task
        except ModelError as error:
            yield _failure("ModelStreamError", error.message, "ModelInvocationTimeExceeded")
        except LostRequest as error:
            yield _failure("ModelStreamError", error.message, "StreamBroken")
        except (AwsError, TooSlow) as error:
            yield _failure("InternalStreamFailure", str(error) or "The stream was not read.", None)
    finally:
        task.cancel()


def _failure(kind: str, text: str, code: str | None) -> bytes:
    fields = {"Message": text, **({"ErrorCode": code} if code else {})}
    return event_stream.exception(kind, json.dumps(fields).encode())
