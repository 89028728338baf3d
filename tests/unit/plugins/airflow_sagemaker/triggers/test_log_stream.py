from __future__ import annotations

import asyncio
import contextvars
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from airflow_sagemaker.triggers import log_reader, log_stream
from airflow_sagemaker.triggers.backoff import JITTER
from airflow_sagemaker.triggers.log_pages import now_ms
from airflow_sagemaker.triggers.log_place import LogPlace
from airflow_sagemaker.triggers.log_position import CURSOR_EVENTS, RECENT_EVENTS
from airflow_sagemaker.triggers.log_reader import OVERLAP_EVENTS
from airflow_sagemaker.triggers.log_stream import CursorStore, JobLog
from tests.unit.plugins.airflow_sagemaker.triggers.logs_fake import Kept, Logs, ManyLines, refusal

LATE_MS = 10_000
GROUP = "/aws/sagemaker/TrainingJobs"
MANY_LINES = int(os.environ.get("TEST_LOG_LINES", "200000"))


def lines() -> list[str]:
    """A task log."""
    return []


def job_log(
    logs: Logs,
    written: list[str],
    job: str = "job",
    *,
    cursor: CursorStore | None = None,
    since_ms: int | None = None,
    **more: Any,
) -> JobLog:
    return JobLog(
        LogPlace(GROUP, f"{job}/", since_ms),
        aws_conn_id="aws",
        region_name=None,
        poll_interval_s=0.05,
        write=written.append,
        cursor=cursor,
        open_client=logs.client,
        **more,
    )


@pytest.fixture
def saved_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cursor is saved in between, however long a busy machine takes."""
    monkeypatch.setattr(log_stream, "FIRST_CURSOR_S", 3600.0)


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - of what nobody tells
            await asyncio.sleep(0.01)


@asynccontextmanager
async def killed(log: JobLog) -> AsyncIterator[JobLog]:
    """A triggerer that ends without a word."""
    await log.__aenter__()
    yield log
    log._cursor = None
    await log.__aexit__(None, None, None)


async def test_every_line_once_and_in_order_while_the_job_prints() -> None:
    logs, written = Logs(), lines()
    async with job_log(logs, written) as log:
        for number in range(20):
            logs.put("job/algo-1-1700", now_ms(), f"{number}", f"{number}.5")
            await asyncio.sleep(0.02)
        await log.finish()
    expected = [line for number in range(20) for line in (f"[algo-1] {number}", f"[algo-1] {number}.5")]
    assert written == expected


async def test_a_hundred_jobs_share_one_reader_and_its_calls() -> None:
    logs = Logs(page=10_000)
    written: dict[str, list[str]] = {f"job-{number}": [] for number in range(100)}
    since, began_s = now_ms(), time.monotonic()
    async with job_log(logs, [], "elsewhere", since_ms=since), asyncio.TaskGroup() as jobs:

        async def wait(name: str, lines: list[str]) -> None:
            async with job_log(logs, lines, name, since_ms=since) as log:
                await until(lambda: len(lines) == 5)
                await log.finish()

        for name, lines in written.items():
            jobs.create_task(wait(name, lines))
        for number in range(5):
            for name in written:
                logs.put(f"{name}/algo-1-1", now_ms(), str(number))
            await asyncio.sleep(0.3)
    assert set(map(tuple, written.values())) == {tuple(f"[algo-1] {number}" for number in range(5))}
    assert logs.clients == 1
    # As many as one reader makes passes in that time: a hundred readers would make a hundred times as many.
    passes = (time.monotonic() - began_s) / (0.05 * (1 - JITTER))
    assert len(logs.requests) <= passes + 1


async def test_events_that_show_up_late_are_written_once() -> None:
    logs, written = Logs(), lines()
    async with job_log(logs, written) as log:
        now = now_ms()
        logs.put("job/algo-1-1", now, "new")
        await until(lambda: written)
        logs.put("job/algo-1-1", now - LATE_MS, "late of the same machine")
        logs.put("job/algo-2-1", now - LATE_MS, "late of another")
        await until(lambda: len(written) == 3)
        await log.finish(late_s=0.1)
    assert sorted(written) == [
        "[algo-1] late of the same machine",
        "[algo-1] new",
        "[algo-2] late of another",
    ]


async def test_lines_alike_in_one_millisecond_are_all_there() -> None:
    logs, written = Logs(), lines()
    async with job_log(logs, written) as log:
        logs.put("job/algo-1-1", now_ms(), *["."] * 10)
        await log.finish()
        await log.finish()
    assert written == ["[algo-1] ."] * 10


async def test_empty_pages_with_a_token_are_not_the_end() -> None:
    logs, written = Logs(page=2), lines()
    logs.empty_pages = 3
    logs.put("job/algo-1-1", now_ms(), *"abcde")
    async with job_log(logs, written) as log:
        await log.finish()
    assert "".join(line[-1] for line in written) == "abcde"


@pytest.mark.parametrize("code", ["ThrottlingException", "ExpiredTokenException"])
async def test_refusals_slow_it_down_and_lose_nothing(code: str) -> None:
    logs, written, told = Logs(), lines(), lines()
    logs.put("job/algo-1-1", now_ms(), "before")
    logs.refusals.extend([refusal(code)] * 2)
    async with job_log(logs, written, warn=told.append) as log:
        await until(lambda: written)
        logs.refusals.extend([refusal(code)] * 2)
        logs.put("job/algo-1-1", now_ms(), "after")
        await log.finish()
    assert written == ["[algo-1] before", "[algo-1] after"]
    assert 1 <= len(told) <= 2
    assert code in told[0]


async def test_a_refusal_amid_the_pages_repeats_none() -> None:
    class Flaky(Logs):
        async def filter_log_events(self, **request: Any) -> dict[str, Any]:
            if len(self.requests) % 3 == 1:
                self.refusals.append(refusal("ThrottlingException"))
            return await super().filter_log_events(**request)

    logs, written = Flaky(page=2), lines()
    logs.put("job/algo-1-1", now_ms(), *"abcdefgh")
    async with job_log(logs, written, since_ms=now_ms() - 1000, warn=lambda trouble: None):
        await until(lambda: len(written) == 8)
    assert "".join(line[-1] for line in written) == "abcdefgh"


async def test_a_group_to_which_nothing_was_printed_has_no_lines() -> None:
    logs, written = Logs(), lines()
    logs.missing = True
    async with job_log(logs, written) as log:
        await log.finish()
        logs.missing = False
        logs.put("job/algo-1-1", now_ms(), "the first")
        await log.finish()
    assert written == ["[algo-1] the first"]


async def test_a_log_that_may_not_be_read_ends_with_a_word() -> None:
    class Denied(Logs):
        async def filter_log_events(self, **request: Any) -> dict[str, Any]:
            raise refusal("AccessDeniedException")

    told: list[str] = []
    async with job_log(Denied(), [], warn=told.append) as log:
        await until(lambda: told)
        await log.finish()
    assert "AccessDenied" in told[0]
    assert "could not be read" in told[-1]


async def test_one_task_alone_asks_for_its_own_streams_and_several_for_what_they_share() -> None:
    logs = Logs()
    since = now_ms()
    async with job_log(logs, [], "digits-train", since_ms=since) as first:
        await first.finish()
        assert logs.requests[-1]["logStreamNamePrefix"] == "digits-train"
        async with job_log(logs, [], "digits-prepare", since_ms=since) as second:
            await second.finish()
            assert logs.requests[-1]["logStreamNamePrefix"] == "digits-"
            async with job_log(logs, [], "bank", since_ms=since) as third:
                await third.finish()
                assert "logStreamNamePrefix" not in logs.requests[-1]


async def test_lines_are_written_in_the_context_of_their_own_task() -> None:
    task = contextvars.ContextVar("task", default="nobody's")
    logs = Logs()
    seen: Counter[tuple[str, str]] = Counter()

    async def wait(name: str) -> None:
        task.set(name)
        async with job_log(logs, [], name, since_ms=now_ms()) as log:
            log._write = lambda line: seen.update([(task.get(), line)])
            logs.put(f"{name}/algo-1-1", now_ms(), name)
            await asyncio.sleep(0.1)
            await log.finish()

    async with asyncio.TaskGroup() as tasks:
        for name in ("a", "b", "c"):
            tasks.create_task(wait(name))
    assert seen == Counter({(name, f"[algo-1] {name}"): 1 for name in "abc"})


@pytest.mark.usefixtures("saved_at_the_end")
async def test_another_triggerer_goes_on_where_this_one_was_asked_to_stop() -> None:
    logs, written, kept = Logs(page=50), lines(), Kept()
    for number in range(7):
        for line in range(100):
            logs.put("job/algo-1-1", now_ms(), f"{number * 100 + line}")
        log = job_log(logs, written, cursor=kept)

        async def follow(log: JobLog = log) -> None:
            async with log:
                await asyncio.sleep(60)

        task = asyncio.create_task(follow())
        await until(lambda number=number: len(written) > number * 100 + 30 * number % 100)
        task.cancel()
        await asyncio.wait([task])
        assert len(json.dumps(kept.value)) < 100 * CURSOR_EVENTS
    async with job_log(logs, written, cursor=kept) as log:
        await log.finish()
    assert written == [f"[algo-1] {number}" for number in range(700)]
    assert kept.saves <= 8


@pytest.mark.usefixtures("saved_at_the_end")
async def test_a_killed_triggerer_repeats_what_was_written_since_its_last_cursor_and_no_more() -> None:
    logs, kept, first, second = Logs(), Kept(), lines(), lines()
    logs.put("job/algo-1-1", now_ms(), "saved")
    async with job_log(logs, first, cursor=kept) as log:
        await log.finish()
    async with killed(job_log(logs, first, cursor=kept)) as log:
        logs.put("job/algo-1-1", now_ms(), "not saved")
        await log.finish()
    async with job_log(logs, second, cursor=kept) as log:
        await log.finish()
    assert first == ["[algo-1] saved", "[algo-1] not saved"]
    assert second == ["[algo-1] not saved"]


@pytest.mark.usefixtures("saved_at_the_end")
async def test_a_killed_triggerer_repeats_nothing_where_its_log_is_at_hand() -> None:
    logs, kept, first, second = Logs(), Kept(), lines(), lines()
    async with killed(job_log(logs, first, cursor=kept)) as log:
        logs.put("job/algo-1-1", now_ms(), "a", ".", ".")
        await log.finish()
    kept.written = Counter([*first, "[algo-1] z"])
    logs.put("job/algo-1-1", now_ms(), ".", "b")
    async with job_log(logs, second, cursor=kept) as log:
        await log.finish()
        logs.put("job/algo-1-1", now_ms(), "a", "z")  # said now: not what was written before
        await log.finish()
    assert second == ["[algo-1] .", "[algo-1] b", "[algo-1] a", "[algo-1] z"]


async def test_a_cursor_of_another_job_says_nothing_of_this_one() -> None:
    logs, kept, written = Logs(), Kept(), lines()
    kept.written = Counter(["[algo-1] same"])
    logs.put("other/algo-1-1", now_ms(), "same")
    async with job_log(logs, [], "other", cursor=kept) as log:
        await log.finish()
    logs.put("job/algo-1-1", now_ms(), "same")
    async with job_log(logs, written, cursor=kept) as log:
        await log.finish()
    assert written == ["[algo-1] same"]


async def test_who_comes_late_to_a_job_that_printed_much_reads_that_alone() -> None:
    logs, other, written = Logs(page=100), lines(), lines()
    logs.put("job/algo-1-1", now_ms() - 3_600_000, *map(str, range(1000)))
    async with job_log(logs, other, "other", since_ms=now_ms()) as quiet:
        await quiet.finish()
        async with job_log(logs, written) as log:
            await log.finish()
            logs.put("job/algo-1-1", now_ms(), "1000")
            logs.put("other/algo-1-1", now_ms(), "mine")
            await log.finish()
            await quiet.finish()
    assert written == [f"[algo-1] {number}" for number in range(1001)]
    assert other == ["[algo-1] mine"]
    shared = [request for request in logs.requests if request.get("logStreamNamePrefix") != "job"]
    assert all(request.get("startTime", 0) > now_ms() - 600_000 for request in shared)


@pytest.mark.parametrize("age_ms", [3_600_000, 1000], ids=["read alone", "read by the shared reader"])
async def test_a_job_that_prints_without_end_takes_no_memory(age_ms: int) -> None:
    since = now_ms() - age_ms
    logs = ManyLines(MANY_LINES, since, "job/algo-1-1")
    count = 0
    kept = Kept()

    def write(line: str) -> None:
        nonlocal count
        assert line == f"[algo-1] {count}"
        count += 1

    log = job_log(logs, [], cursor=kept, since_ms=since)
    log._write = write
    async with log:
        await log.finish()
    assert count == MANY_LINES
    assert sum(len(position.recent) for position in log.position.streams.values()) <= RECENT_EVENTS
    assert logs.most_pages_held <= 3
    assert len(json.dumps(kept.value)) < 100 * CURSOR_EVENTS


async def test_what_a_chatty_neighbour_pushed_out_of_the_overlap_is_found_in_the_end() -> None:
    logs, written = Logs(page=10_000), lines()
    since = now_ms()
    async with (
        job_log(logs, [], "chatty", since_ms=since) as chatty,
        job_log(logs, written, since_ms=since) as log,
    ):
        logs.put("job/algo-1-1", now_ms(), "before")
        await log.finish()
        for _ in range(3):
            logs.put("chatty/algo-1-1", now_ms(), *["."] * OVERLAP_EVENTS)
            await chatty.finish()
        logs.put("job/algo-1-1", since + 1, "shown late")
        await log.finish()
    assert written == ["[algo-1] before", "[algo-1] shown late"]


async def test_who_joins_amid_a_look_misses_nothing() -> None:
    class Slow(Logs):
        def __init__(self) -> None:
            super().__init__()
            self.open, self.waiting = asyncio.Event(), 0
            self.open.set()

        async def filter_log_events(self, **request: Any) -> dict[str, Any]:
            self.waiting += 1
            await self.open.wait()
            self.waiting -= 1
            return await super().filter_log_events(**request)

    logs, written = Slow(), lines()
    logs.put("job/algo-1-1", now_ms() - 60_000, "before")
    async with job_log(logs, [], "first", since_ms=now_ms()) as first:
        await first.finish()
        logs.open.clear()
        await until(lambda: logs.waiting)
        async with job_log(logs, written, since_ms=now_ms() - 120_000) as second:
            await asyncio.sleep(0.05)
            logs.open.set()
            await second.finish()
    assert written == ["[algo-1] before"]


async def test_the_reader_ends_with_the_last_who_listens() -> None:
    logs = Logs()
    async with job_log(logs, []), job_log(logs, [], "other"):
        assert len(log_reader._leases) == 1
    assert not log_reader._leases
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
