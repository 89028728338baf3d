"""A serverless variant's container at the moments when falling asleep and being asked meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import cast

import pytest

from sagemaker_local.executors.choice import choose_executor
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.container import Container
from sagemaker_local.serving.http import NotListening
from sagemaker_local.serving.serverless import ServerlessServer
from sagemaker_local.settings import Settings

SERVE = """#!/usr/bin/env python
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    do_POST = do_GET
    def log_message(self, *arguments):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
async def server(
    make_image: Callable[[str, Mapping[str, str]], str], settings: Settings, tmp_path: Path
) -> AsyncIterator[ServerlessServer]:
    server = ServerlessServer(
        Container(make_image("server", {"serve": SERVE})),
        tmp_path / "opt-ml",
        environment={},
        executor=choose_executor(settings),
        objects=cast(ObjectStore, None),  # a container without an artefact needs none
        log=print,
        start_timeout_s=60,
        max_concurrency=2,
        provisioned=False,
    )
    await server.start()
    yield server
    await server.stop(0)


async def ask(server: ServerlessServer) -> int:
    async with server.set_up({}):
        return (await server.invoke({}, b"", timeout_s=30)).status


async def test_a_request_that_comes_as_the_container_is_about_to_sleep_keeps_it(
    server: ServerlessServer,
) -> None:
    pid = server.pid
    server._fall_asleep()  # its time is up, and at the same moment somebody asks
    async with server.set_up({}) as cold_start_s:
        assert cold_start_s is None
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert server.pid == pid is not None
        assert (await server.invoke({}, b"", timeout_s=30)).status == 200


async def test_a_request_that_comes_while_it_is_stopped_gets_another(server: ServerlessServer) -> None:
    pid = server.pid
    server._fall_asleep()
    await asyncio.sleep(0)
    with pytest.raises(NotListening), server.use():
        pass  # from here on requests wait
    assert await asyncio.wait_for(ask(server), 60) == 200
    assert server.pid not in (pid, None)
    assert server.ready
