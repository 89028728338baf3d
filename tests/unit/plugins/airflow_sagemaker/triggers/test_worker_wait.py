"""Waiting on the worker, with AWS replaced at the seam where clients are made."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.triggers import worker_wait
from airflow_sagemaker.triggers.job import JobTrigger
from airflow_sagemaker.triggers.loop_thread import THREAD_NAME
from airflow_sagemaker.triggers.shared_poll_watch import Watch
from airflow_sagemaker.triggers.worker_wait import HandOverCursor, wait_on_worker

TASK = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=None, try_number=1)


class TimeIsUp(BaseException):
    """As Airflow's timeouts, raised by a signal's handler."""


@contextmanager
def handled(act: Callable[[], None]) -> Iterator[None]:
    """Have something happen in a signal's handler, as Airflow's kills and timeouts do, once one is sent."""
    earlier = signal.signal(signal.SIGALRM, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, earlier)


def send() -> None:
    os.kill(os.getpid(), signal.SIGALRM)


@contextmanager
def signalled(aws: Any, looks: int, act: Callable[[], None]) -> Iterator[None]:
    """The same amid a wait, when it has looked so often."""

    def note(_: str) -> None:
        if aws.calls.count("describe") == looks:
            send()

    aws.on_call = note
    with handled(act):
        yield


def up() -> None:
    raise TimeIsUp


def trigger(**fields: Any) -> JobTrigger:
    given = {
        "kind": "training_job",
        "job_name": "job",
        "aws_conn_id": "aws_sagemaker",
        "region_name": None,
        "poll_interval_s": 0.2,
        "deadline_s": time.time() + 60,
        "succeed_in_trigger": True,
    }
    return JobTrigger(**{**given, **fields})


def waits() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def test_a_short_job_ends_on_the_worker(aws: Any, xcoms: dict[str, Any]) -> None:
    aws.put("job", "InProgress")
    ended = {"ModelArtifacts": {"S3ModelArtifacts": "s3://b/m"}}
    with signalled(aws, 4, lambda: aws.put("job", "Completed", **ended)):
        event = wait_on_worker(trigger(), TASK, 600)
    assert event is not None
    assert event["end"] == "completed"
    assert event["results"]["model_uri"] == "s3://b/m"
    # The worker gives the results back itself, and nobody goes on reading the log.
    assert set(xcoms) == {"progress"}
    assert xcoms["progress"][0]["status"] == "Completed"
    assert set(aws.counted()) == {"describe"}


def test_a_long_one_is_left_to_the_triggerer(aws: Any, xcoms: dict[str, Any]) -> None:
    aws.put("job", "InProgress")
    began_s = time.monotonic()
    told = {"SecondaryStatus": "Starting", "SecondaryStatusTransitions": [{"Status": "Starting"}]}

    def change(_: str) -> None:
        # Of what changes right after a publication nobody is told for some seconds.
        if aws.calls.count("describe") == 2:
            aws.put("job", "InProgress", **told)

    aws.on_call = change
    # Thirty looks' time, of which it takes two.
    assert wait_on_worker(trigger(), TASK, 3.0) is None
    assert xcoms["progress"][0]["transitions"] == 1
    assert time.monotonic() - began_s >= 2.5
    assert not waits()


class Clock:
    """A clock that only sleep moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


async def test_looks_become_rarer_up_to_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(worker_wait, "time", clock)
    monkeypatch.setattr(worker_wait, "asyncio", clock)
    cursor = HandOverCursor(TASK)
    ticks = [tick async for tick in worker_wait._looks(Watch(), cursor, 0.06, 1.0)]
    pauses = clock.slept_s
    assert len(ticks) == len(pauses)
    assert (pauses[0], pauses[-1]) == (worker_wait.FIRST_LOOK_S, 0.06)
    assert pauses == sorted(pauses)
    assert 1.0 - 0.06 <= clock.now_s < 1.0
    assert cursor.hands_over


def test_every_look_asks_once_and_none_comes_early(aws: Any, xcoms: dict[str, Any]) -> None:
    moments: list[float] = []
    aws.on_call = lambda _: moments.append(time.monotonic())
    aws.put("job", "InProgress")
    assert wait_on_worker(trigger(poll_interval_s=0.06), TASK, 1.0) is None
    assert 1 <= len(moments) <= 20


def test_a_kill_stops_the_job_and_the_wait_sees_it(aws: Any, xcoms: dict[str, Any]) -> None:
    aws.put("job", "InProgress")
    with signalled(aws, 2, lambda: aws.put("job", "Stopped")):
        event = wait_on_worker(trigger(), TASK, 600)
    assert event is not None
    assert event["end"] == "stopped"


def test_a_timeout_of_the_task_ends_the_wait(aws: Any, xcoms: dict[str, Any]) -> None:
    aws.put("job", "InProgress")
    with signalled(aws, 2, up), pytest.raises(TimeIsUp):
        wait_on_worker(trigger(), TASK, 600)
    assert not waits()


def test_the_deadline_of_the_job_holds_here_too(aws: Any, xcoms: dict[str, Any]) -> None:
    aws.put("job", "InProgress")
    event = wait_on_worker(trigger(deadline_s=time.time() - 1), TASK, 30)
    assert event is not None
    assert event["end"] == "timed_out"
    assert aws.stopped == ["job"]
