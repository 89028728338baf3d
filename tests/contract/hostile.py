"""What the tests of hostile clients share: bytes as they are, and a look at the server after each test."""

from __future__ import annotations

import os
import re
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.contract.conftest import LocalServer

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "60"))
"""More than these are others each time; these are the same, so that what fails is what was changed."""
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES == 60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TARGET = {"X-Amz-Target": "SageMaker.CreateModel", "Content-Type": "application/x-amz-json-1.1"}


@pytest.fixture(scope="module")
def http(server: LocalServer) -> Any:
    """One connection pool for all."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(autouse=True)
def still_well(server: LocalServer) -> Any:
    """After each test the server lives, and nothing in it has failed."""
    before = len(server.log.read_bytes())
    yield
    assert httpx.get(f"{server.url}/_local/health").status_code == 200
    log = server.log.read_bytes()[before:].decode("utf-8", "replace")
    assert "Traceback" not in log, log[-5000:]


def raw(server: LocalServer, *parts: bytes, wait_s: float = 30) -> bytes:
    """Send bytes as they are; everything that comes back until the server closes or is silent."""
    address = urlsplit(server.url)
    answer = b""
    with socket.create_connection((address.hostname, address.port), timeout=wait_s) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                answer += chunk
        except OSError:  # the server may close at any moment
            pass
    return answer


def status(answer: bytes) -> int:
    match = re.match(rb"HTTP/1.1 (\d+)", answer)
    return int(match[1]) if match else 0
