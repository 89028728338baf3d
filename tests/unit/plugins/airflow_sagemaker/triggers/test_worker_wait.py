"""Waiting on the worker, with AWS replaced at the seam where clients are made."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.triggers.job import JobTrigger
from airflow_sagemaker.triggers.worker_wait import run_apart, wait_on_worker

TASK = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=None, try_number=1)


class TimeIsUp(BaseException):
    """As Airflow's timeouts, raised by a signal's handler."""


@contextmanager
def signalled(after_s: float, act: Callable[[], None]) -> Iterator[None]:
    """Have something happen in a signal's handler, as Airflow's kills and timeouts do."""
    earlier = signal.signal(signal.SIGALRM, lambda *_: act())
    signal.setitimer(signal.ITIMER_REAL, after_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


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
    return [thread for thread in threading.enumerate() if thread.name == "wait on the worker"]


def test_a_short_job_ends_on_the_worker(aws: Any, xcoms: dict[str, Any]) -> None:
    aws.put("job", "InProgress")
    with signalled(0.3, lambda: aws.put("job", "Completed", ModelArtifacts={"S3ModelArtifacts": "s3://b/m"})):
        event = wait_on_worker(trigger(), TASK, 30)
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
    # Of what changes right after a publication nobody is told for some seconds.
    with signalled(0.2, lambda: aws.put("job", "InProgress", **told)):
        assert wait_on_worker(trigger(), TASK, 0.4) is None
    assert xcoms["progress"][0]["transitions"] == 1
    assert time.monotonic() - began_s >= 0.3
    assert not waits()


def test_looks_become_rarer_up_to_the_interval(aws: Any, xcoms: dict[str, Any]) -> None:
    moments: list[float] = []
    aws.on_call = lambda _: moments.append(time.monotonic())
    aws.put("job", "InProgress")
    assert wait_on_worker(trigger(poll_interval_s=0.06), TASK, 1.0) is None
    assert 10 <= len(moments) <= 20


def test_a_kill_stops_the_job_and_the_wait_sees_it(aws: Any, xcoms: dict[str, Any]) -> None:
    aws.put("job", "InProgress")
    with signalled(0.2, lambda: aws.put("job", "Stopped")):
        event = wait_on_worker(trigger(), TASK, 30)
    assert event is not None
    assert event["end"] == "stopped"


def test_a_timeout_of_the_task_ends_the_wait(aws: Any, xcoms: dict[str, Any]) -> None:
    aws.put("job", "InProgress")
    with signalled(0.2, up), pytest.raises(TimeIsUp):
        wait_on_worker(trigger(), TASK, 30)
    assert not waits()


def test_the_deadline_of_the_job_holds_here_too(aws: Any, xcoms: dict[str, Any]) -> None:
    aws.put("job", "InProgress")
    event = wait_on_worker(trigger(deadline_s=time.time() - 1), TASK, 30)
    assert event is not None
    assert event["end"] == "timed_out"
    assert aws.stopped == ["job"]


def test_what_is_interrupted_closes_what_it_has_open() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("closed")

    with signalled(0.1, up), pytest.raises(TimeIsUp):
        run_apart(work())
    assert seen == ["closed"]


def test_an_error_of_the_work_is_the_callers() -> None:
    async def work() -> None:
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"):
        run_apart(work())
