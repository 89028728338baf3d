"""The triggerer's reading of logs against the local SageMaker: each checks the other's reading of AWS."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker.triggers.log_place import LogPlace
from airflow_sagemaker.triggers.log_position import RECENT_EVENTS
from airflow_sagemaker.triggers.log_stream import JobLog
from tests.contract.conftest import ROOT, LocalServer
from tests.contract.log_probe import FileCursor, logs_client
from tests.contract.serving_probe import eventually

LINES = int(os.environ.get("TEST_LOG_LINES", "100000"))
"""``TEST_LOG_LINES=1000000`` for the million."""
EVENTS_PER_PUT = 10_000


@pytest.fixture
def logs(client: Callable[..., Any]) -> Any:
    return client("logs")


@pytest.fixture
def group(logs: Any) -> str:
    name = f"/test/{uuid.uuid4().hex[:12]}"
    logs.create_log_group(logGroupName=name)
    return name


class Calls:
    """Clients of the server that count what they are asked to do."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.count: Counter[str] = Counter()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        async with logs_client(self.url) as client:
            client.meta.events.register("before-call", self._called)
            yield client

    def _called(self, model: Any, **_: Any) -> None:
        self.count[model.name] += 1


def put(logs: Any, group: str, stream: str, lines: int, per_ms: int = 5) -> None:
    """Lines ``0``, ``1``, … that end now."""
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    since_ms = int(time.time() * 1000) - lines // per_ms
    for start in range(0, lines, EVENTS_PER_PUT):
        end = min(start + EVENTS_PER_PUT, lines)
        events = [
            {"timestamp": since_ms + each // per_ms, "message": str(each)} for each in range(start, end)
        ]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def job_log(calls: Calls, group: str, job: str, write: Callable[[str], None], **more: Any) -> JobLog:
    return JobLog(
        LogPlace(group, f"{job}/", more.pop("since_ms", None)),
        aws_conn_id="aws",
        region_name=None,
        poll_interval_s=0.5,
        write=write,
        open_client=calls.client,
        **more,
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - of what nobody tells
            await asyncio.sleep(0.01)


async def test_many_lines_come_once_in_order_through_two_triggerers(
    server: LocalServer, logs: Any, group: str, tmp_path: Path
) -> None:
    put(logs, group, "job/algo-1-1700000000", LINES)
    count, most_kept = 0, 0
    calls = Calls(server.url)

    def write(line: str) -> None:
        nonlocal count, most_kept
        assert line == f"[algo-1] {count}"
        count += 1
        most_kept = max(most_kept, sum(len(each.recent) for each in log.position.streams.values()))

    cursor = FileCursor(tmp_path / "cursor.json")
    log = job_log(calls, group, "job", write, cursor=cursor)

    async def follow() -> None:
        async with log:
            await asyncio.Event().wait()

    first = asyncio.create_task(follow())
    await until(lambda: count > LINES // 3)
    first.cancel()
    await asyncio.wait([first])
    assert LINES // 3 < count < LINES
    log = job_log(calls, group, "job", write, cursor=cursor)
    async with log:
        await log.finish()
    assert count == LINES
    assert most_kept <= RECENT_EVENTS
    assert cursor.path.stat().st_size < 10_000
    pages = LINES / EVENTS_PER_PUT
    assert calls.count["FilterLogEvents"] <= pages + 20
    assert set(calls.count) == {"FilterLogEvents"}


async def test_a_hundred_jobs_in_one_group_cost_no_more_calls_than_one(
    server: LocalServer, logs: Any, group: str
) -> None:
    jobs, rounds = 100, 5
    written: dict[str, list[str]] = {f"job-{number}": [] for number in range(jobs)}
    calls = Calls(server.url)
    since_ms = int(time.time() * 1000)
    printed = asyncio.Event()

    async def wait(name: str) -> None:
        async with job_log(calls, group, name, written[name].append, since_ms=since_ms) as log:
            await printed.wait()
            await log.finish()

    def print_a_round(number: int) -> None:
        for name in written:
            stream = f"{name}/algo-1-1700000000"
            if number == 0:
                logs.create_log_stream(logGroupName=group, logStreamName=stream)
            now_ms = int(time.time() * 1000)
            events = [{"timestamp": now_ms, "message": f"{number}.{line}"} for line in range(3)]
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    started_s = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for name in written:
            tasks.create_task(wait(name))
        for number in range(rounds):
            await asyncio.to_thread(print_a_round, number)
        printed.set()
    looks = (time.monotonic() - started_s) / 0.25
    expected = [f"[algo-1] {number}.{line}" for number in range(rounds) for line in range(3)]
    assert all(lines == expected for lines in written.values())
    assert calls.count["FilterLogEvents"] <= looks + 2  # of one reader, however long it all takes
    assert set(calls.count) == {"FilterLogEvents"}


def test_a_triggerer_killed_at_any_moment_loses_and_repeats_nothing(
    server: LocalServer, logs: Any, group: str, tmp_path: Path
) -> None:
    lines, killed = 30_000, 0
    log_folder = tmp_path / "dag_id=dag" / "run_id=run" / "task_id=train"
    stream = "job/algo-1-1700000000"
    logs.create_log_stream(logGroupName=group, logStreamName=stream)

    def found() -> list[str]:
        texts = [
            path.read_text()
            for path in sorted(log_folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
        ]
        whole = [line for text in texts for line in text.split("\n") if line.endswith("}")]
        return [json.loads(line)["event"] for line in whole]

    def start(number: int) -> subprocess.Popen[bytes]:
        arguments = [server.url, group, "job/", str(lines - 1), str(tmp_path), str(number)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
        return subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("log_probe.py")), *arguments], env=environment
        )

    written = 0

    def has_gone_on() -> bool:
        return len(found()) > written

    probe = start(0)
    try:
        for begin in range(0, lines, 1000):
            now_ms = int(time.time() * 1000)
            events = [{"timestamp": now_ms, "message": str(line)} for line in range(begin, begin + 1000)]
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
            time.sleep(0.1)
            if begin % 6000 == 4000:  # never after the last line: nobody would write that once more
                eventually(has_gone_on, 300)
                probe.kill()
                probe.wait()
                killed, written = killed + 1, len(found())
                probe = start(killed)
        assert probe.wait(300) == 0
    finally:
        probe.kill()
        probe.wait()
    assert killed == 5
    assert found() == [f"[algo-1] {line}" for line in range(lines)]
