"""The limits of one connection, with times short enough to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvicorn

from sagemaker_local import connection
from sagemaker_local.faults.injection import ABORT


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body, answers how long it was; or drops the connection."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    if scope["path"] == "/drop":
        scope["extensions"][ABORT]["call"]()
        await asyncio.sleep(0.05)
        return
    answer = str(size).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADERS_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connection, "BODY_IDLE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connection, "CHECK_INTERVAL_S", 0.1)


class Watched(connection.Connection):
    """A connection with a clock that the test turns; counts what it took and how often it looked."""

    now_s = 0.0
    received = looks = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        loop, clock = self.loop, type(self)

        class Loop:
            def time(self) -> float:
                return clock.now_s

            def __getattr__(self, name: str) -> Any:
                return getattr(loop, name)

        self.loop = cast(asyncio.AbstractEventLoop, Loop())

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        type(self).received += len(data)

    def _check_time(self) -> None:
        super()._check_time()
        type(self).looks += 1


@asynccontextmanager
async def serving(http: type[connection.Connection]) -> AsyncIterator[int]:
    config = uvicorn.Config(application, port=0, http=http, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


@pytest.fixture
async def port(limits: None) -> AsyncIterator[int]:
    async with serving(connection.Connection) as port:
        yield port


async def said(port: int, *parts: bytes) -> bytes:
    """Everything that comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionError:
        return b""
    finally:
        writer.close()


HEAD = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n"


async def test_who_is_slow_is_told_goodbye(port: int) -> None:
    assert b" 408 " in await said(port, HEAD)
    assert await said(port, HEAD + b"\r\nabc") == b""
    assert await said(port) == b""


async def test_who_goes_on_may_take_his_time(limits: None) -> None:
    """Each pause is shorter than the limit, all together are longer."""

    class Served(Watched):
        """With numbers of its own."""

    async with serving(Served) as port, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = HEAD + b"Connection: close\r\n\r\n"
        writer.write(sent)
        for letter in b"abcdef":
            while Served.received < len(sent):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
            Served.now_s += 0.2
            looks = Served.looks
            while Served.looks < looks + 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            writer.write(bytes([letter]))
            sent += bytes([letter])
        assert (await reader.read()).endswith(b"\r\n\r\n6")
        writer.close()


async def test_a_connection_is_used_again(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(HEAD + b"\r\nabcdef")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(1) == b"6"
        await asyncio.sleep(0.05)
    writer.close()


async def test_headers_larger_than_64_kib(port: int) -> None:
    line = b"X: " + b"v" * 1000 + b"\r\n"
    assert b" 431 " in await said(port, HEAD + line * 70 + b"\r\nabcdef")
    assert b" 431 " in await said(port, HEAD + line * 70)  # and no end in sight
    assert b" 431 " in await said(port, b"GET /" + b"p" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    fits = await said(port, HEAD + b"Connection: close\r\n" + line * 50 + b"\r\nabcdef")
    assert fits.endswith(b"6")


async def test_a_dropped_connection_has_no_answer(port: int) -> None:
    assert await said(port, b"GET /drop HTTP/1.1\r\nHost: x\r\n\r\n") == b""
