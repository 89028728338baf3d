"""A notebook instance's port, from the moment it is chosen to the moment Jupyter listens on it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

from sagemaker_local.executors.base import Executor, Program
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.notebooks import engine as notebooks
from sagemaker_local.notebooks.engine import KIND, NotebookEngine
from sagemaker_local.settings import Settings
from sagemaker_local.store import Record, Store


class Jupyter(BaseHTTPRequestHandler):
    """Answers as one that is up."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Slow:
    """An executor that installs and starts; what it starts listens once it may.

    Attributes:
        installed: Whether the environment is there.
        ports: What programs were told to listen on.
    """

    name, address = "base-directory", None

    def __init__(self) -> None:
        self.installed = False
        self.ports: list[int] = []
        self.started, self.may_listen = asyncio.Event(), asyncio.Event()
        self.stopped = asyncio.Event()

    async def prepare(self, *_: Any) -> None:
        await asyncio.sleep(0)
        self.installed = True

    async def start(self, program: Program, _log: Any) -> Slow:
        assert program.port is not None
        self.ports.append(program.port)
        self.listening = asyncio.create_task(self.listen(program.port))
        self.started.set()
        return self

    async def listen(self, port: int) -> None:
        await self.may_listen.wait()
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Jupyter)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    async def wait(self) -> int:
        await self.stopped.wait()
        return 0

    async def stop(self, _grace_s: float) -> int:
        self.server.shutdown()
        self.server.server_close()
        self.stopped.set()
        return 0


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with contextlib.closing(Store(settings.data_dir / "sagemaker.sqlite")) as store:
        yield store


async def test_nobody_else_is_given_its_port_before_it_listens(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Slow()
    reserve = notebooks._reserve_port

    def chosen(reserved: socket.socket) -> int:
        assert executor.installed, "what is installed meanwhile leaves others minutes to take it"
        return reserve(reserved)

    monkeypatch.setattr(notebooks, "_reserve_port", chosen)
    engine = NotebookEngine(settings, store, LogStore(settings.data_dir / "logs"), cast(Executor, executor))
    store.insert(Record(KIND, "n", "arn", {"NotebookInstanceStatus": "Pending"}))
    engine.bring_up("n")
    async with asyncio.timeout(60):
        await executor.started.wait()
        with socket.socket() as other, pytest.raises(OSError) as taken:
            other.bind(("127.0.0.1", executor.ports[0]))
        assert taken.value.errno == errno.EADDRINUSE
        executor.may_listen.set()
        while store.get(KIND, "n").document["NotebookInstanceStatus"] != "InService":  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.05)
    assert store.get(KIND, "n").document["Url"] == f"127.0.0.1:{executor.ports[0]}"
    await engine.close()
