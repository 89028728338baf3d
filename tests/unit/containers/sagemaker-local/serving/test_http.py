"""The client of containers against servers that behave in every way a container may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from sagemaker_local.serving import http
from sagemaker_local.serving.http import Client, ConnectionLost, NotListening

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that halts between two requests must not make a kept connection look an old one."""
    monkeypatch.setattr(http, "IDLE_MOST_S", 600.0)


class Server:
    """Counts connections and gives each to a behaviour."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.connections = 0
        self.received: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.behaviour(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def client_of(behaviour: Behaviour) -> AsyncIterator[tuple[Client, Server]]:
    server = Server(behaviour)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    client = Client(listening.sockets[0].getsockname()[1])
    try:
        yield client, server
    finally:
        client.close()
        listening.close()


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def answering(answer: bytes, times: int = 1000) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            await head_of(reader)
            writer.write(answer)
            await writer.drain()

    return behave


async def get(client: Client, timeout_s: float = 60) -> tuple[int, bytes]:
    answer = await client.request("GET", "/ping", timeout_s=timeout_s)
    return answer.status, bytes(answer.body)


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with client_of(answering(OK)) as (client, server):
        for _ in range(3):
            assert await get(client) == (200, b"ok")
        assert server.connections == 1


async def test_a_connection_of_its_own_is_neither_taken_from_others_nor_left_to_them() -> None:
    heads: list[bytes] = []
    through: list[int] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = server.connections
        while True:
            heads.append(await head_of(reader))
            through.append(number)
            writer.write(OK)

    async with client_of(behave) as (client, server):
        await get(client)
        for _ in range(2):
            await client.request("GET", "/ping", timeout_s=60, keep=False)
        await get(client)
        assert through == [1, 2, 3, 1]
        assert [b"connection: close" in head for head in heads] == [False, True, True, False]


async def test_requests_at_once_have_connections_of_their_own() -> None:
    async with client_of(answering(OK)) as (client, server):
        assert await asyncio.gather(*(get(client) for _ in range(5))) == [(200, b"ok")] * 5
        assert server.connections <= 5


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    async with client_of(answering(OK, times=1)) as (client, server):
        for _ in range(4):
            assert await get(client) == (200, b"ok")
        assert server.connections == 4


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n", 200, b"ok!"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", 503, b"busy"),
    ],
)
async def test_every_form_of_answer_is_read(answer: bytes, status: int, body: bytes) -> None:
    async with client_of(answering(answer)) as (client, _):
        assert await get(client) == (status, body)
        assert await get(client) == (status, body)


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async with client_of(answering(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", times=1)) as (client, server):
        assert await get(client) == (200, b"until the end")
        assert await get(client) == (200, b"until the end")
        assert server.connections == 2


async def test_an_answer_cut_short_is_a_lost_connection() -> None:
    cut = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"
    async with client_of(answering(cut, times=1)) as (client, _):
        with pytest.raises(ConnectionLost, match="before it answered GET /ping"):
            await get(client)


async def test_what_is_no_http_is_a_lost_connection() -> None:
    async with client_of(answering(b"220 mail ready\r\n\r\n")) as (client, _):
        with pytest.raises(ConnectionLost):
            await get(client)


async def test_a_request_that_was_taken_is_not_sent_again() -> None:
    async def takes_and_dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        await reader.readexactly(4)

    async with client_of(takes_and_dies) as (client, server):
        with pytest.raises(ConnectionLost):
            await client.request("POST", "/invocations", body=b"once", timeout_s=60)
        assert server.connections == 1


async def test_a_request_that_a_kept_connection_may_have_taken_is_not_sent_again() -> None:
    async def answers_once_and_dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(OK)
        await writer.drain()
        await head_of(reader)
        await reader.readexactly(4)

    async with client_of(answers_once_and_dies) as (client, server):
        assert await get(client) == (200, b"ok")
        with pytest.raises(ConnectionLost):
            await client.request("POST", "/invocations", body=b"once", timeout_s=60)
        assert server.connections == 1


async def test_nobody_listening_is_told_apart() -> None:
    async with client_of(answering(OK)) as (client, _):
        pass
    with pytest.raises(NotListening):
        await get(client)


async def test_a_silent_container_times_out_and_its_connection_is_not_used_again() -> None:
    async with client_of(answering(b"")) as (client, server):
        with pytest.raises(TimeoutError):
            await get(client, timeout_s=0.05)
        server.behaviour = answering(OK)
        assert await get(client) == (200, b"ok")
        assert server.connections == 2


async def test_a_body_in_parts_is_sent_chunked_and_its_answer_goes_to_the_sink() -> None:
    received = bytearray()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"transfer-encoding: chunked" in await head_of(reader)
        received.extend(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(OK)
        await writer.drain()

    answered = bytearray()
    async with client_of(collect) as (client, _):
        answer = await client.request(
            "POST", "/invocations", body=iter([b"one", b"", b"two"]), timeout_s=60, sink=answered.extend
        )
    assert bytes(received) == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    assert (answer.status, bytes(answer.body), bytes(answered)) == (200, b"", b"ok")


async def test_an_early_refusal_of_a_long_body_is_the_answer() -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(refusal)
        await writer.drain()
        await reader.read()

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    answered = bytearray()
    async with client_of(refuse) as (client, _):
        answer = await client.request(
            "POST",
            "/invocations",
            body=endless(),
            timeout_s=60,
            sink=answered.extend,
        )
    assert (answer.status, bytes(answer.body), bytes(answered)) == (413, b"large", b"")
