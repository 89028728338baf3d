"""Work on an event loop in a thread of its own, and what interrupts who waits for it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from typing import Any

import pytest

from airflow_sagemaker.triggers import loop_thread
from airflow_sagemaker.triggers.loop_thread import THREAD_NAME, run_apart


class TimeIsUp(BaseException):
    """As Airflow's timeouts, raised by a signal's handler."""


@pytest.fixture
def time_is_up() -> Iterator[None]:
    def up(*_: object) -> None:
        raise TimeIsUp

    earlier = signal.signal(signal.SIGALRM, up)
    yield
    signal.signal(signal.SIGALRM, earlier)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


@pytest.mark.usefixtures("time_is_up")
def test_what_is_interrupted_closes_what_it_has_open() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGALRM)
            await asyncio.sleep(600)
        finally:
            seen.append("closed")

    with pytest.raises(TimeIsUp):
        run_apart(work())
    assert seen == ["closed"]
    assert not threads()


@pytest.mark.parametrize("begun", [True, False], ids=["work has begun", "work has not begun"])
def test_what_is_interrupted_while_its_thread_starts_does_not_go_on(
    monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    seen: list[str] = []
    at_work, may_begin = threading.Event(), threading.Event()

    class Interrupted(threading.Thread):
        """As when a signal comes before the new thread has said that it runs."""

        def start(self) -> None:
            super().start()
            if begun:
                may_begin.set()
                assert at_work.wait(60)
            raise TimeIsUp

        def run(self) -> None:
            assert may_begin.wait(60)
            super().run()

    async def work() -> None:
        try:
            at_work.set()
            await asyncio.sleep(600)
        finally:
            seen.append("closed")

    def join(future: Any, timeout_s: float) -> None:
        may_begin.set()  # now that it waits for the end
        wait(future, timeout_s)

    monkeypatch.setattr(loop_thread, "Thread", Interrupted)
    monkeypatch.setattr(loop_thread, "wait", join)
    with pytest.raises(TimeIsUp):
        run_apart(work())
    assert seen == (["closed"] if begun else [])
    assert not threads()


def test_an_error_of_the_work_is_the_callers() -> None:
    async def work() -> None:
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"):
        run_apart(work())
