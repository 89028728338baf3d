"""Requests whose head is known are answered without the parser, all others as before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import uvicorn
from uvicorn.server import ServerState

from model_serving import settings
from model_serving.app import App
from model_serving.handlers import Functions, Handler
from model_serving.heads import KEPT, LONGEST, Heads
from model_serving.metrics import Metrics
from model_serving.protocol import Protocol


class Sums:
    features = 3

    def predict(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.asarray(rows.sum(axis=1))


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Counting(Protocol):
    """Counts the messages that the parser begins."""

    parsed = 0

    def on_message_begin(self) -> None:
        self.parsed += 1
        super().on_message_begin()


class Client:
    """One connection to an application."""

    def __init__(self, served: App) -> None:
        self.transport = Transport()
        config = uvicorn.Config(
            served, lifespan="off", interface="asgi3", log_config=None, access_log=False, proxy_headers=False
        )
        self.state = ServerState()
        self.protocol = Counting(config=config, server_state=self.state, app_state={})
        self.protocol.connection_made(self.transport)

    @property
    def parsed(self) -> int:
        """Messages that the parser began."""
        return self.protocol.parsed

    async def send(self, *pieces: bytes) -> list[bytes]:
        """The bodies of the answers."""
        self.transport.written = b""
        for piece in pieces:
            self.protocol.data_received(piece)
        for _ in range(5):
            await asyncio.sleep(0)
        answers = self.transport.written.split(b"HTTP/1.1 ")[1:]
        return [answer[:3] + b" " + answer.partition(b"\r\n\r\n")[2] for answer in answers]


def request(body: bytes, *more: bytes, path: bytes = b"/invocations") -> bytes:
    lines = [b"POST %b HTTP/1.1" % path, b"Content-Type: text/csv", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*lines, *more, b"", body])


@pytest.fixture
def served() -> App:
    metrics = Metrics(1)
    metrics.take_line(0)
    return App(settings.read({}), metrics, Handler(Functions("none"), Sums()), None)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


def test_a_known_head_is_not_parsed_again(served: App, runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        client, other = Client(served), Client(served)
        assert await client.send(request(b"1,2,3")) == [b"200 6.0\n"]
        assert await client.send(request(b"1,2,4")) == [b"200 7.0\n"]
        assert await client.send(request(b"1,x,4")) == [b"400 row 1, value 2: 'x' is not a finite number\n"]
        assert client.parsed == 1
        assert await other.send(request(b"3,2,4")) == [b"200 9.0\n"]
        assert other.parsed == 0
        assert client.state.total_requests == 3
        assert b'model_requests_total{status="200"} 3' in served._metrics.text()
        # Other heads are parsed, and known by what they say.
        assert await client.send(request(b"1,2,30")) == [b"200 33.0\n"]
        for _ in range(2):
            answers = await client.send(request(b"1,2,3", b"Accept: application/json"))
            assert answers == [b'200 {"predictions":[6.0]}']
        assert client.parsed == 3

    runner.run(scenario())


def test_pieces_and_rows_of_requests_are_parsed(served: App, runner: asyncio.Runner) -> None:
    whole = request(b"1,2,3")

    async def scenario() -> None:
        client = Client(served)
        await client.send(whole)
        for at in range(1, len(whole)):
            assert await client.send(whole[:at], whole[at:]) == [b"200 6.0\n"], at
        assert await client.send(whole + request(b"1,2,4")) == [b"200 6.0\n", b"200 7.0\n"]
        assert await client.send(whole + whole[:60], whole[60:]) == [b"200 6.0\n", b"200 6.0\n"]
        assert client.parsed == len(whole) + 4
        assert await client.send(whole) == [b"200 6.0\n"]
        assert client.parsed == len(whole) + 4

    runner.run(scenario())


def test_a_known_head_behind_a_request_under_way_waits(served: App, runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        client = Client(served)
        whole, ping = request(b"1,2,3"), b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
        await client.send(whole)
        assert await client.send(ping, whole) == [b"200 \n", b"200 6.0\n"]
        assert await client.send(whole, ping) == [b"200 6.0\n", b"200 \n"]

    runner.run(scenario())


def test_what_looks_like_a_request_is_a_body_within_one(served: App, runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        client = Client(served)
        whole = request(b"1,2,3")
        outer = request(whole)
        await client.send(whole)
        assert await client.send(outer.removesuffix(whole), whole) == [
            b"400 row 1 has 1 values, the model takes 3\n"
        ]

    runner.run(scenario())


def test_line_ends_between_requests_are_none(served: App, runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        client = Client(served)
        assert await client.send(request(b"")) == [
            b"400 there are no rows; send lines of 3 numbers separated by commas\n"
        ]
        for _ in range(2):
            assert await client.send(b"\r\n\r\n") == []
        assert await client.send(request(b"1,2,3")) == [b"200 6.0\n"]

    runner.run(scenario())


@pytest.mark.parametrize(
    "odd",
    [
        request(b"1,2,3", b"Connection: close"),
        request(b"1,2,3", b"Expect: 100-continue"),
        request(b"1,2,3", b"X-Long: " + b"x" * LONGEST),
        b"POST /invocations HTTP/1.0\r\nContent-Type: text/csv\r\nContent-Length: 5\r\n\r\n1,2,3",
        b"POST /invocations HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n1,2,3\r\n0\r\n\r\n",
        b"nonsense\r\n\r\n",
        request(b"1,2,3", path=b"/elsewhere"),
    ],
)  # fmt: skip
def test_odd_heads_are_not_kept(served: App, runner: asyncio.Runner, odd: bytes) -> None:
    async def scenario() -> None:
        client, other = Client(served), Client(served)
        first = await client.send(odd)
        assert first
        assert await other.send(odd) == first
        assert other.parsed == client.parsed
        assert served.heads._known == {}

    runner.run(scenario())


def test_a_client_that_does_not_read_is_not_answered_at_once(served: App, runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        client = Client(served)
        await client.send(request(b"1,2,3"))
        client.protocol.pause_writing()
        assert await client.send(request(b"1,2,3")) == []
        client.protocol.resume_writing()
        assert await client.send() == [b"200 6.0\n"]

    runner.run(scenario())


def test_who_has_an_answer_finds_it_counted(served: App, runner: asyncio.Runner) -> None:
    """On uvicorn's way too: another process may tell the sums before this one goes on."""
    counted: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"1,2,3"}

    async def send(message: Any) -> None:
        counted.append(served._metrics.text())

    headers = [(b"content-type", b"text/csv")]
    scope = {"type": "http", "path": "/invocations", "method": "POST", "headers": headers}
    runner.run(served(scope, receive, send))
    assert len(counted) == 2
    for text in counted:
        assert b'model_requests_total{status="200"} 1' in text
        assert b"model_requests_in_progress 0" in text


def test_heads_do_not_pile_up() -> None:
    heads = Heads()
    for number in range(3 * KEPT):
        head = b"POST /%d\r\n\r\n" % number
        heads.keep(head + b"body", len(head), [(b"content-length", b"4")], 4)
        assert heads.headers(head, 4) is not None
        assert heads.headers(head, 5) is None
    assert len(heads._known) <= KEPT


def test_a_head_before_anything_but_its_body_is_not_kept() -> None:
    heads = Heads()
    for data in (b"POST\r\n\r\nbody and more", b"POST\r\n\r\nbod", b"body"):
        heads.keep(data, data.find(b"\r\n\r\n") + 4, [], 4)
    assert heads._known == {}
