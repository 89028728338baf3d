"""A web page that somebody visits must not reach the server on his loopback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.contract.conftest import LocalServer

TARGET = {"X-Amz-Target": "SageMaker.ListModels"}
PATIENCE_S = 60.0
"""For an answer: httpx has five seconds, which a busy machine may want for itself."""


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Host": "rebound.evil.example"},
        {"Host": "rebound.evil.example:4566"},
        {"Host": "127.0.0.1.nip.io"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/", "/some-bucket", "/endpoints/x/invocations", "/_local/faults", "/_local/health"]
)
def test_pages_of_others_get_nothing(server: LocalServer, headers: dict[str, str], path: str) -> None:
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        answer = httpx.request(
            method, server.url + path, headers=TARGET | headers, content=b"{}", timeout=PATIENCE_S
        )
        assert answer.status_code == 403, method
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:4566"},
        {"Host": "bucket.localhost:4566"},
        {"Host": "[::1]:4566"},
        {"Host": "172.17.0.1:4566"},
        {"Host": "sagemaker-local:4566"},
        {"Host": "host.docker.internal:4566"},
        {"Host": "api.sagemaker.us-east-1.amazonaws.com"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    ],
)
def test_everybody_else_is_served(server: LocalServer, headers: dict[str, str]) -> None:
    assert httpx.get(f"{server.url}/_local/health", headers=headers, timeout=PATIENCE_S).status_code == 200


def test_its_own_page_is_served(server: LocalServer) -> None:
    answer = httpx.get(f"{server.url}/_local/health", headers={"Origin": server.url}, timeout=PATIENCE_S)
    assert answer.status_code == 200


def test_a_link_may_be_followed_but_changes_nothing(server: LocalServer) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert httpx.post(server.url, headers=TARGET | link, content=b"{}", timeout=PATIENCE_S).status_code == 403


def test_a_name_of_ones_own(start_server: Callable[..., Any]) -> None:
    server = start_server("--allow-host", "sagemaker.example.com")
    for host, status in (("sagemaker.example.com:80", 200), ("other.example.com", 403)):
        assert (
            httpx.get(f"{server.url}/_local/health", headers={"Host": host}, timeout=PATIENCE_S).status_code
            == status
        )
