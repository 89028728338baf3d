"""Connections that mean no good: noise, headers and bodies without end, many who say nothing."""

from __future__ import annotations

import socket
import string
import time
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.conftest import LocalServer
from tests.contract.hostile import FUZZ, TARGET, http, raw, status, still_well

__all__ = ["http", "still_well"]

NOISE = [
    b"\x00" * 1000,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT evil:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: SageMaker.ListModels\r\nContent-Length: 100\r\n\r\n{",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Y: a\x00b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.mark.parametrize("noise", NOISE, ids=range(len(NOISE)))
def test_noise_on_the_wire(server: LocalServer, noise: bytes) -> None:
    assert status(raw(server, noise)) not in (500, 502)


@FUZZ
@given(
    line=st.binary(max_size=60),
    fields=st.lists(st.binary(max_size=40), max_size=4),
    body=st.binary(max_size=60),
)
def test_more_noise(server: LocalServer, line: bytes, fields: list[bytes], body: bytes) -> None:
    head = b"\r\n".join([b"PUT /" + line + b" HTTP/1.1", b"Host: localhost", *fields])
    assert status(raw(server, head + b"\r\nContent-Length: 5\r\n\r\n" + body)) not in (500, 502)


def test_headers_without_end(server: LocalServer) -> None:
    memory = psutil.Process(server.pid).memory_info().rss
    line = b"X-" + string.ascii_letters.encode() * 20 + b": " + b"v" * 1000 + b"\r\n"
    answer = raw(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n", *[line * 20] * 400)
    assert status(answer) in (431, 0)  # 0: the connection was reset while still sending
    one_long_line = raw(server, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"v" * 30_000_000)
    assert status(one_long_line) in (431, 0)
    long_path = raw(server, b"GET /" + b"p" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status(long_path) in (431, 0)
    assert psutil.Process(server.pid).memory_info().rss - memory < 30_000_000
    small = raw(
        server, b"GET /_local/health HTTP/1.1\r\nHost: localhost\r\n", line * 20, b"Connection: close\r\n\r\n"
    )
    assert status(small) == 200


def test_a_body_larger_than_is_read(server: LocalServer, http: httpx.Client) -> None:
    memory = psutil.Process(server.pid).memory_info().rss

    def endless() -> Any:
        for _ in range(200):
            yield b" " * 2**20

    for headers in (
        TARGET,
        {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20200101/us-east-1/sts/aws4_request"},
    ):
        try:
            answer = http.post("/", content=endless(), headers=headers)
            assert answer.status_code == 400
        except httpx.TransportError:
            pass  # the connection was closed in the middle, which is an answer too
    assert psutil.Process(server.pid).memory_info().rss - memory < 150_000_000


def test_many_who_say_nothing_do_not_keep_others_out(server: LocalServer) -> None:
    address = urlsplit(server.url)
    idle = [socket.create_connection((address.hostname, address.port)) for _ in range(300)]
    try:
        for number, connection in enumerate(idle):
            connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: " if number % 2 else b"")
        assert httpx.get(f"{server.url}/_local/health").status_code == 200
    finally:
        for connection in idle:
            connection.close()


def test_who_pauses_between_requests_finds_the_connection_open(server: LocalServer) -> None:
    """httpx keeps one for 5 s, botocore for ever: closed in that moment, it would lose a request."""
    address = urlsplit(server.url)
    connection = HTTPConnection(address.hostname or "", address.port)
    try:
        for pause_s in (0.0, 5.5):
            time.sleep(pause_s)
            connection.request("GET", "/_local/health")
            answer = connection.getresponse()
            assert (answer.status, answer.read() != b"") == (200, True)
            assert connection.sock is not None
            connection.auto_open = 0  # from now on on this connection or not at all
    finally:
        connection.close()
