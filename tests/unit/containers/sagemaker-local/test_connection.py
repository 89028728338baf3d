"""The limits of one connection, with times short enough to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

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
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(connection, "HEADERS_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connection, "BODY_IDLE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connection, "CHECK_INTERVAL_S", 0.1)
    config = uvicorn.Config(
        application, port=0, http=connection.Connection, lifespan="off", log_level="critical"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def said(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Everything that comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
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


async def test_who_goes_on_may_take_his_time(port: int) -> None:
    letters = [bytes([letter]) for letter in b"abcdef"]
    answer = await said(port, HEAD + b"Connection: close\r\n\r\n", *letters, pause_s=0.15)
    assert answer.endswith(b"\r\n\r\n6")


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
