"""The local SageMaker's S3 beside moto's server: the same client, the same objects, in turn.

    .venv/bin/python -m benchmarks.object_storage            # a minute
    .venv/bin/python -m benchmarks.object_storage --quick

Both servers are fresh processes. The client is boto3 in one process, which is the limit of the small calls.
Ours writes to the disk and has it synced before it answers; moto keeps objects in memory.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config

from benchmarks.local_server import REGION, local_server
from benchmarks.reporting import Report

OURS, MOTO = "local SageMaker", "moto server"
LARGE_BYTES = 100_000_000
SMALL_BYTES = 10_000
BUCKET = "benchmark"
START_TIMEOUT_S = 60.0


class Memory:
    """The most that a process and those below it hold while this looks."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self.most_bytes = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            try:
                family = [self._process, *self._process.children(recursive=True)]
                held = sum(each.memory_info().rss for each in family)
            except psutil.Error:
                continue
            self.most_bytes = max(self.most_bytes, held)

    def close(self) -> float:
        """Stop looking; megabytes."""
        self._ended.set()
        self._thread.join()
        return self.most_bytes / 1e6


@contextmanager
def moto_server() -> Iterator[tuple[str, int]]:
    """moto's own server: its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryFile() as log:
        command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(url, server)
            yield url, server.pid
        finally:
            server.terminate()
            server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return once a server answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own address
        except urllib.error.HTTPError:
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def client(url: str) -> Any:
    """A client of S3 with one connection."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",  # noqa: S106 - neither server asks
        config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def mb_per_s(call: Callable[[], object]) -> float:
    """Speed of one call that moves a large object."""
    started = time.perf_counter()
    call()
    return LARGE_BYTES / 1e6 / (time.perf_counter() - started)


def per_s(call: Callable[[int], object], count: int) -> float:
    """Speed of many calls, one after the other."""
    started = time.perf_counter()
    for number in range(count):
        call(number)
    return count / (time.perf_counter() - started)


def measure(s3: Any, large: bytes, small: bytes, count: int) -> Mapping[str, float]:
    """One round on one server."""

    def get(key: str, size: int) -> None:
        body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        if len(body) != size:
            raise RuntimeError(f"{key}: {len(body)} bytes came back, not {size}")

    return {
        "put of 100 MB": mb_per_s(lambda: s3.put_object(Bucket=BUCKET, Key="large", Body=large)),
        "get of 100 MB": mb_per_s(lambda: get("large", LARGE_BYTES)),
        "put of 10 KB": per_s(lambda n: s3.put_object(Bucket=BUCKET, Key=f"small/{n}", Body=small), count),
        "get of 10 KB": per_s(lambda n: get(f"small/{n}", SMALL_BYTES), count),
    }


def main() -> None:
    """Measure both in turn and publish."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and calls")
    parser.add_argument("--rounds", type=int, help="default: 5, quick 3")
    parser.add_argument("--calls", type=int, help="small objects a round (default: 300, quick 100)")
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 5)
    count = options.calls or (100 if options.quick else 300)
    report = Report(
        "object_storage",
        "S3 of the local SageMaker beside moto's",
        MOTO,
        ["moto", "boto3"],
        quick=options.quick,
    )
    large, small = os.urandom(LARGE_BYTES), os.urandom(SMALL_BYTES)
    found: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        server = stack.enter_context(local_server({}))
        moto_url, moto_pid = stack.enter_context(moto_server())
        peers = {OURS: client(server.url), MOTO: client(moto_url)}
        memories = {OURS: Memory(server.pid), MOTO: Memory(moto_pid)}
        for s3 in peers.values():
            s3.create_bucket(Bucket=BUCKET)
            per_s(lambda n, s3=s3: s3.put_object(Bucket=BUCKET, Key="warm", Body=small), 5)  # type: ignore[misc]
        for _ in range(rounds):
            for peer, s3 in peers.items():
                for what, value in measure(s3, large, small, count).items():
                    found.setdefault((what, peer), []).append(value)
        most_mb = {peer: memory.close() for peer, memory in memories.items()}
    for (what, peer), values in found.items():
        report.add(what, peer, values, unit="MB/s" if "MB" in what else "calls/s")
    for peer, held_mb in most_mb.items():
        report.add("most memory", peer, [held_mb], unit="MB", better="lower")
    report.note("Ours is on the disk, synced, when it answers; moto's is in memory and gone at its end.")
    report.publish()


if __name__ == "__main__":
    main()
