"""A local SageMaker of a benchmark's own: its directory, its images, its process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "containers" / "sagemaker-local" / "src"
REGION = "us-east-1"
ACCOUNT = "123456789012"
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sagemaker"
DOCKERFILE = (
    "FROM python:3.11-slim\nCOPY src/ /opt/program/\nENV PATH=/opt/program:$PATH\nWORKDIR /opt/program\n"
)


@dataclass(frozen=True)
class LocalServer:
    """A running server.

    Attributes:
        url: Endpoint of every AWS service.
        pid: Its process.
        start_s: Seconds from its start to its first answer.
        log: What it prints.
    """

    url: str
    pid: int
    start_s: float
    log: Path


@contextlib.contextmanager
def local_server(images: Mapping[str, Mapping[str, str]], *arguments: str) -> Iterator[LocalServer]:
    """Start a server on a new directory; both are gone afterwards.

    Args:
        images: Image name → program name (``train``, ``serve``) → its text.
        arguments: Further arguments of ``sagemaker-local``.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        base = Path(folder)
        for image, programs in images.items():
            source = base / "containers" / image / "src"
            source.mkdir(parents=True)
            (source.parent / "Dockerfile").write_text(DOCKERFILE)
            for name, program in programs.items():
                (source / name).write_text(program)
                (source / name).chmod(0o755)
        command = [sys.executable, "-m", "sagemaker_local", "--port", "0", "--stop-grace-s", "1"]
        command += ["--data", str(base / "data"), "--containers", str(base / "containers"), *arguments]
        log = base / "server.log"
        started = time.perf_counter()
        with log.open("wb") as output:
            environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
            server = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
            try:
                ready = base / "data" / "ready.json"
                while not ready.exists():
                    if server.poll() is not None:
                        raise RuntimeError(log.read_text()[-3000:])
                    time.sleep(0.02)
                start_s = time.perf_counter() - started
                yield LocalServer(json.loads(ready.read_text())["url"], server.pid, start_s, log)
            finally:
                server.terminate()
                try:
                    server.wait(60)
                except subprocess.TimeoutExpired:
                    server.kill()
                    server.wait()
