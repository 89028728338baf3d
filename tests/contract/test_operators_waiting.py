"""Waits of the plugin's jobs on the local SageMaker: on the worker, to the deadline, past a killed server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk.bases.xcom import BaseXCom

from airflow_sagemaker.kinds import TRAINING
from airflow_sagemaker.policies import failure
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.triggers.worker_wait import wait_on_worker
from tests.contract.operators_probe import LIMIT_S, Task, fired, local, training

__all__ = ["local"]


@contextmanager
def kept(port: int) -> Iterator[None]:
    """Nobody is given a port for which no server listens now; one that sets SO_REUSEADDR can have it."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", port))
        yield


def told(task: Task) -> list[str]:
    return [line for line in task.lines if "] line" in line]


def test_a_wait_that_begins_on_the_worker_ends_there_or_goes_on_in_the_triggerer(
    local: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line once, and in order, whoever wrote it."""
    stored: dict[str, Any] = {}

    async def keep(key: str, value: Any, **_: Any) -> None:
        stored[key] = value

    async def give(*, key: str, **_: Any) -> Any:
        return stored.get(key)

    monkeypatch.setattr(BaseXCom, "aset", keep)
    monkeypatch.setattr(BaseXCom, "aget_one", give)
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=None, try_number=1)
    task = Task()
    short = task.submit(training(lines=4, pause_s=0.2)).name
    event = wait_on_worker(task.trigger(short), ti, LIMIT_S)
    assert event is not None
    assert event["end"] == "completed"
    assert told(task) == [f"[algo-1] line {number} acc=0.{number}" for number in range(4)]
    assert set(stored) == {"progress"}

    task = Task()
    # It prints until the gate is there, and three lines more.
    long = task.submit(training(gate="gate", pause_s=0.1)).name
    for limit_s in (3, 15, 75):  # a slow machine has the first lines late
        task.lines.clear()
        assert wait_on_worker(task.trigger(long), ti, limit_s) is None
        if told_here := told(task):
            break
    assert told_here
    assert stored["log_cursor"]["lines"] == len(told_here)
    local.client("s3").put_object(Bucket="data", Key="gate")
    trigger = task.trigger(long)
    trigger.task_instance = cast(Any, ti)
    assert asyncio.run(fired(trigger))["end"] == "completed"
    paginator = local.client("logs").get_paginator("filter_log_events")
    pages = paginator.paginate(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{long}/")
    printed = [event["message"] for page in pages for event in page["events"]]
    count = sum(line.startswith("line ") for line in printed)
    assert len(told_here) < count
    assert told(task) == [f"[algo-1] line {number} acc=0.{number}" for number in range(count)]


def test_the_deadline_stops_the_job(local: Any) -> None:
    task = Task()
    name = task.submit(training(pause_s=60)).name
    assert task.wait(name, limit_s=-1)["end"] == "timed_out"
    described = task.jobs.describe(TRAINING, name)
    assert described is not None
    assert not TRAINING.is_alive(described)


def test_waiting_outlives_the_server(local: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Killed at once and started again on its directory and port, the server says how the job ended."""
    task = Task()
    name = task.submit(training(pause_s=1, lines=30)).name

    def looked_again() -> bool:
        return any("Looking again" in line for line in [*task.lines, *caplog.messages])

    async def drill() -> JsonObject:
        waiting = asyncio.create_task(fired(task.trigger(name)))
        async with asyncio.timeout(LIMIT_S):
            while not told(task):  # noqa: ASYNC110 - the log tells nobody
                await asyncio.sleep(0.1)
            port = local.url.rsplit(":", 1)[1]
            await asyncio.to_thread(local.kill)
            with kept(int(port)):
                while not looked_again():  # noqa: ASYNC110 - nor does this one
                    await asyncio.sleep(0.1)
                command = local._command
                command[command.index("--port") + 1] = port
                await asyncio.to_thread(local.start)
        return await waiting

    ended = asyncio.run(drill())
    assert ended["end"] in {"failed", "completed"}
    if ended["end"] == "failed":
        assert type(failure("x", ended["reason"])).__name__ == "ServiceFaultError"
