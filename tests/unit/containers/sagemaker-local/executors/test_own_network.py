"""A program in a network of its own: the only way in is a connection that init hands out."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sagemaker_local.executors.base import Executor, Program, RunningProgram

WAIT_S = 120.0
ECHO = """#!/usr/bin/env python
import os, pathlib, socket, time
while not pathlib.Path("/opt/ml/listen").exists():
    time.sleep(0.02)
try:
    socket.create_connection(("127.0.0.1", int(os.environ["OUTSIDE"])), timeout=2)
    print("there is a way out", flush=True)
except OSError:
    print("no way out", flush=True)
with socket.create_server(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"]))) as server:
    while True:
        connection, _ = server.accept()
        connection.sendall(connection.recv(100)[::-1])
        connection.close()
"""


@pytest.fixture
def uri(make_image: Callable[[str, Mapping[str, str]], str], executor: Executor) -> str:
    if not executor.own_networks:
        pytest.skip("the fallback has no networks to give")
    return make_image("echo", {"serve": ECHO})


async def ask(program: RunningProgram, text: bytes) -> bytes:
    assert program.dial is not None
    reader, writer = await asyncio.open_connection(sock=await program.dial())
    writer.write(text)
    answer = await reader.read()
    writer.close()
    return answer


async def test_connections_are_handed_out_once_the_program_listens(
    uri: str, executor: Executor, tmp_path: Path
) -> None:
    opt_ml = tmp_path / "opt-ml"
    opt_ml.mkdir()
    lines: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as outside:
        started = Program(
            image=uri,
            opt_ml=opt_ml,
            arguments=("serve",),
            environment={"OUTSIDE": str(outside.getsockname()[1])},
            port=8080,
            network=False,
        )
        # Two of them, each with its own 8080.
        programs = [await executor.start(started, lines.append) for _ in range(2)]
        try:
            for program in programs:
                assert program.dial is not None
                with pytest.raises(ConnectionRefusedError):
                    await program.dial()
            (opt_ml / "listen").touch()
            for program in programs:
                assert await soon(program) == b"olleh"
            asked = [b"%d-" % at for at in range(20)]
            answers = await asyncio.gather(*(ask(programs[at % 2], text) for at, text in enumerate(asked)))
            assert answers == [text[::-1] for text in asked]
        finally:
            for program in programs:
                await program.stop(0)
    assert lines == ["no way out"] * 2
    assert programs[0].dial is not None
    with pytest.raises(OSError, match="ended"):
        await programs[0].dial()


async def soon(program: RunningProgram) -> bytes:
    """The first answer."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return await ask(program, b"hello")
        except OSError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
