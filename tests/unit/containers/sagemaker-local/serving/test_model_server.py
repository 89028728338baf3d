"""A supervised container: comes up, is watched, comes back, leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from sagemaker_local.executors.base import Executor
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving import health
from sagemaker_local.serving.container import Container
from sagemaker_local.serving.http import ConnectionLost
from sagemaker_local.serving.model_server import ModelServer, PingError, ServeError

WAIT_S = 120.0
SERVE = """#!/usr/bin/env python
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
start = int((base / "starts").read_text()) + 1 if (base / "starts").exists() else 1
(base / "starts").write_text(str(start))
print("start", start, flush=True)
if start <= int(os.environ.get("FAILING_STARTS", "0")):
    sys.exit(9)

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(500 if (base / "sick").exists() or "SICK" in os.environ else 200)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if body == b"slow":
            time.sleep(1)
        self.answer(200, str(start).encode())
    def log_message(self, *arguments):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


async def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)


class Started:
    """A model server and what it logged."""

    def __init__(self, image: str, executor: Executor, opt_ml: Path) -> None:
        self.lines: list[str] = []
        self.opt_ml = opt_ml
        self._image, self._executor = image, executor

    def server(self, timeout_s: float = 120, **environment: str) -> ModelServer:
        return ModelServer(
            Container(self._image, None, {}, environment),
            self.opt_ml,
            environment={},
            executor=self._executor,
            objects=cast(ObjectStore, None),  # a container without an artefact needs none
            log=self.lines.append,
            start_timeout_s=timeout_s,
        )


@pytest.fixture
def started(
    make_image: Callable[[str, Mapping[str, str]], str], executor: Executor, tmp_path: Path
) -> Started:
    return Started(make_image("served", {"serve": SERVE}), executor, tmp_path / "opt-ml")


async def ask(server: ModelServer, body: bytes = b"") -> bytes:
    return bytes((await server.request("POST", "/invocations", {}, body, timeout_s=60)).body)


def alive(pid: int | None) -> bool:
    return pid is not None and os.path.exists(f"/proc/{pid}")


async def test_it_is_ready_when_start_returns_and_gone_when_stop_does(started: Started) -> None:
    server = started.server()
    await server.start()
    pid = server.pid
    assert (server.ready, alive(pid)) == (True, True)
    assert await ask(server) == b"1"
    await server.stop()
    assert (server.ready, alive(pid)) == (False, False)
    with pytest.raises(ConnectionLost):
        await ask(server)


async def test_it_comes_back_when_its_process_is_killed(started: Started) -> None:
    server = started.server()
    await server.start()
    try:
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: server.ready and server.pid != pid)
        assert await ask(server) == b"2"
        assert any("is started again" in line for line in started.lines)
    finally:
        await server.stop(0)


async def test_a_container_that_fails_twice_may_come_up_the_third_time(started: Started) -> None:
    server = started.server(FAILING_STARTS="2")
    await server.start()
    assert await ask(server) == b"3"
    await server.stop(0)


async def test_a_container_that_only_ends_is_given_up_at_once(started: Started) -> None:
    server = started.server(FAILING_STARTS="99")
    with pytest.raises(PingError, match=r"ended 3 times before it answered /ping: exit code 9"):
        await server.start()
    assert server.pid is None


async def test_a_container_that_is_never_healthy_is_given_up_in_time(started: Started) -> None:
    server = started.server(timeout_s=2, SICK="yes")
    with pytest.raises(PingError, match="within 2 seconds"):
        await server.start()
    assert server.pid is None


async def test_a_container_that_becomes_sick_is_replaced(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "HEALTH_POLL_S", 0.05)
    server = started.server()
    await server.start()
    try:
        (started.opt_ml / "sick").touch()
        await until(lambda: any("failed 4 health checks" in line for line in started.lines))
        (started.opt_ml / "sick").unlink()
        await until(lambda: server.ready)
        assert await ask(server) != b"1"
    finally:
        await server.stop(0)


async def test_health_checks_do_not_count_while_a_request_is_under_way(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "HEALTH_POLL_S", 0.02)
    server = started.server()
    await server.start()
    try:
        asking = asyncio.create_task(ask(server, b"slow"))
        await until(lambda: server.outstanding)
        (started.opt_ml / "sick").touch()
        assert await asking == b"1"
    finally:
        await server.stop(0)


async def test_an_unknown_image_is_named(executor: Executor, tmp_path: Path) -> None:
    server = Started("123456789012.dkr.ecr.us-east-1.amazonaws.com/none:1", executor, tmp_path).server()
    with pytest.raises(ServeError, match="none"):
        await server.start()


async def test_a_cancelled_start_leaves_nothing_running(started: Started) -> None:
    server = started.server(SICK="yes")
    starting = asyncio.create_task(server.start())
    await until(lambda: any("start 1" in line for line in started.lines))
    pid = server.pid
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not alive(pid)
