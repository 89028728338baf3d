"""A real `sagemaker-local` in a process of its own, and clients that nobody here wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "containers" / "sagemaker-local" / "src"
START_TIMEOUT_S = 180.0


def named_below(directory: Path, name: str) -> list[Path]:
    """Everything of a name below a directory, from which others may remove what they like meanwhile."""
    return [Path(folder, name) for folder, folders, files in os.walk(directory) if name in (*folders, *files)]


class LocalServer:
    """One server process; start, kill and start again on the same directory.

    Attributes:
        url: Where it listens; set by `start`.
        log: What it prints.
    """

    def __init__(self, data: Path, containers: Path, *arguments: str) -> None:
        self.data, self.log = data, data.with_suffix(".log")
        self._command = [sys.executable, "-m", "sagemaker_local", "--port", "0"]
        self._command += ["--data", str(data), "--containers", str(containers)]
        if executor := os.environ.get("TEST_EXECUTOR"):
            self._command += ["--executor", executor]
        self._command += arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> LocalServer:
        """Start it and wait until it answers."""
        ready = self.data / "ready.json"
        ready.unlink(missing_ok=True)
        self.data.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"sagemaker-local did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)
        self.url = json.loads(ready.read_text())["url"]
        return self

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as an operator would."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def client(self, service: str, **config: Any) -> Any:
        """A boto3 client of the server; `config` goes to botocore's Config."""
        settings = {"retries": {"max_attempts": 1, "mode": "standard"}, **config}
        if service == "s3":
            settings.setdefault("s3", {"addressing_style": "path"})
        session: Any = boto3.session.Session()
        return session.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(**settings),
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """One server for all tests that do not kill it."""
    running = LocalServer(tmp_path_factory.mktemp("local-sagemaker") / "data", ROOT / "containers").start()
    yield running
    running.stop()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., LocalServer]]:
    """A function that starts a server of the test's own; each is stopped at the test's end."""
    started: list[LocalServer] = []

    def start(*arguments: str, containers: Path = ROOT / "containers") -> LocalServer:
        data = tmp_path / f"server-{len(started)}"
        started.append(LocalServer(data, containers, *arguments))
        return started[-1].start()

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def client(server: LocalServer) -> Callable[..., Any]:
    """A function that makes boto3 clients: `client("s3")`."""
    return server.client


@pytest.fixture(scope="session")
def s3(server: LocalServer) -> Any:
    """A boto3 client of S3."""
    return server.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    """An empty bucket of the test's own."""
    name = f"test-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    return name
