"""The relay takes connections from its network's addresses only. All of 127.0.0.0/8 is this machine's."""

from __future__ import annotations

import asyncio

import pytest

from sagemaker_local.executors.docker_relay import Relay


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"you said " + await reader.read())
    writer.close()


async def ask(url: str, own_address: str) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(own_address, 0))
    try:
        writer.write(b"hello" * 100_000)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("own_address", "served"), [("127.9.0.7", True), ("127.8.0.7", False), ("127.0.0.1", False)]
)
async def test_only_neighbours_in_the_network_are_passed_on(own_address, served):
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    relay = Relay("127.9.0.0/16", ("127.0.0.1", server.sockets[0].getsockname()[1]))
    try:
        url = await relay.start("127.9.0.1")
        assert await ask(url, own_address) == (b"you said " + b"hello" * 100_000 if served else b"")
    finally:
        await relay.close()
        server.close()


async def test_a_server_that_is_away_and_a_close_end_connections():
    relay = Relay("127.0.0.0/8", ("127.0.0.2", 1))
    url = await relay.start("127.0.0.1")
    assert await ask(url, "127.0.0.1") == b""
    await relay.close()
    with pytest.raises(ConnectionError):
        await ask(url, "127.0.0.1")
