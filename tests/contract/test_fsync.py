"""The kernel's own word: what was synced before an answer came."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import LocalServer


@pytest.fixture
def traced(start_server: Callable[..., LocalServer], tmp_path: Path) -> Iterator[tuple[LocalServer, Path]]:
    """A server under strace, and what it says of syncs."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    server, output = start_server(), tmp_path / "strace"
    server.client("s3").create_bucket(Bucket="bucket")
    calls = "trace=fsync,fdatasync,sendto,write,rename"
    command = ["strace", "-f", "-y", "-e", calls, "-o", str(output), "-p", str(server.pid)]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert strace.stderr is not None
    said = strace.stderr.readline()
    if "attached" not in said:
        strace.wait(30)
        pytest.skip(f"strace may not trace here: {said.strip()}")
    yield server, output
    if strace.poll() is None:
        strace.send_signal(signal.SIGINT)
        strace.wait(30)


def order(output: Path, since: int, *patterns: str) -> list[int]:
    """Where each pattern first stands in what came since; waits for strace to have written it."""
    deadline = time.monotonic() + 60
    while True:
        text = output.read_text(errors="replace")[since:]
        found = [match.start() if (match := re.search(pattern, text)) else -1 for pattern in patterns]
        if -1 not in found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


ANSWER = r'(sendto|write)\(\d+<(TCP|socket)[^,]*, "HTTP/1.1 200'


@pytest.mark.parametrize(
    ("service", "call", "file"),
    [
        ("s3", lambda client: client.put_object(Bucket="bucket", Key="k", Body=b"1"), r"s3/blobs/\w\w/\w+"),
        ("s3", lambda client: client.put_object(Bucket="bucket", Key="k", Body=b"1"), r"index\.sqlite3-wal"),
        (
            "sagemaker",
            lambda c: c.create_model_package_group(ModelPackageGroupName="g"),
            r"sagemaker\.sqlite-wal",
        ),
        ("logs", lambda client: client.create_log_group(logGroupName="g"), r"logs\.sqlite3-wal"),
    ],
)
def test_synced_before_answered(
    traced: tuple[LocalServer, Path], service: str, call: Callable[[Any], Any], file: str
) -> None:
    server, output = traced
    client = server.client(service)
    since = len(output.read_text(errors="replace"))
    call(client)
    synced, answered = order(output, since, rf"f(data)?sync\(\d+<[^>]*{file}>", ANSWER)
    assert synced >= 0, f"{file} was never synced"
    assert 0 <= synced < answered, "the answer left before the sync"
