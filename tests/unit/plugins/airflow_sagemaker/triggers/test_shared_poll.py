"""The poll itself, and many triggers behind Airflow's own manager of shared streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from airflow.triggers.shared_stream import SharedStreamManager
from botocore.exceptions import ClientError, EndpointConnectionError

from airflow_sagemaker.errors import AccessDeniedError
from airflow_sagemaker.triggers import shared_poll
from airflow_sagemaker.triggers.job import JobTrigger
from airflow_sagemaker.triggers.shared_poll import poll
from airflow_sagemaker.triggers.shared_poll_watch import PollKey, Tick, Watch, watch_of

KEY = PollKey("aws_sagemaker", None, None, "training_job", 0.001)


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "ListTrainingJobs")


async def ticks(watch: Watch, count: int) -> list[Tick]:
    found: list[Tick] = []
    async with aclosing(poll(KEY, watch)) as stream:
        async for tick in stream:
            found.append(tick)
            if len(found) == count:
                return found
    raise AssertionError


@pytest.fixture
def one_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """At this interval the next one is due in 30 ms: on a busy machine that is now."""
    monkeypatch.setattr(shared_poll, "SWEEP_INTERVALS", 10**6)


@pytest.mark.usefixtures("one_sweep")
async def test_the_first_look_counts_the_active_ones_and_later_ones_ask_for_changes(aws: Any) -> None:
    watch = Watch()
    aws.put("job", "InProgress")
    with watch.waiting("job"):
        first, *_ = await ticks(watch, 4)
    assert (first.number, list(first.marks), first.swept, first.gone) == (1, ["job"], True, frozenset())
    assert aws.calls == ["sweep", "changes", "changes", "changes"]
    assert {request["MaxResults"] for request in aws.requests} == {100}


@pytest.mark.usefixtures("one_sweep")
async def test_what_nobody_waits_for_is_left_out(aws: Any) -> None:
    watch = Watch()
    for number in range(250):
        aws.put(f"other-{number}", "InProgress")
    aws.put("job", "Completed")
    with watch.waiting("job"):
        _, second = await ticks(watch, 2)
    assert list(second.marks) == ["job"]
    assert aws.calls == ["sweep"] * 4 + ["changes"]


@pytest.mark.usefixtures("one_sweep")
async def test_changes_are_asked_for_by_the_clock_of_the_server(aws: Any) -> None:
    watch = Watch()
    await ticks(watch, 3)
    asked = [request["LastModifiedTimeAfter"].timestamp() for request in aws.requests[-2:]]
    assert asked == [aws.clock_s - 90] * 2


async def test_changes_are_read_to_the_last_page(aws: Any) -> None:
    watch = Watch()
    aws.put("job", "InProgress")
    stamp = aws.jobs["job"]["LastModifiedTime"]
    for number in range(250):
        aws.put(f"other-{number}", "Completed", LastModifiedTime=stamp)
    aws.clock_s = stamp.timestamp()
    with watch.waiting("job"):
        await ticks(watch, 2)
    assert aws.calls.count("changes") == 3


async def test_a_sweep_tells_who_is_not_active_any_more(aws: Any) -> None:
    watch = Watch()
    aws.put("active", "InProgress")
    aws.put("ended", "Completed")
    aws.put("stopping", "Stopping")
    with watch.waiting("active"), watch.waiting("ended"), watch.waiting("stopping"):
        (tick,) = await ticks(watch, 1)
    assert tick.gone == {"ended"}


async def test_a_sweep_reads_no_more_pages_than_it_saves_calls(aws: Any) -> None:
    watch = Watch()
    for number in range(1000):
        aws.put(f"other-{number}", "InProgress")
    with watch.waiting("job"):
        (tick,) = await ticks(watch, 1)
    assert tick.gone == {"job"}
    assert aws.calls == ["sweep"] * 5


@pytest.mark.parametrize(
    "trouble",
    [refusal("ThrottlingException"), EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), KeyError()],
    ids=repr,
)
async def test_trouble_is_told_and_looked_past(aws: Any, trouble: Exception) -> None:
    watch = Watch()
    aws.answer("sweep", trouble, trouble, None)
    found = await ticks(watch, 4)
    told = [tick.trouble is not None for tick in found if tick.trouble or tick.number]
    assert told[:2] == [True, True]
    assert len(aws.places) == 1


async def test_what_changed_while_aws_did_not_answer_is_asked_for_later(aws: Any) -> None:
    watch = Watch()
    await asyncio.sleep(0)
    with watch.waiting("job"):
        async with aclosing(poll(KEY, watch)) as stream:
            await anext(stream)
            aws.answer("changes", refusal("ThrottlingException"))
            for _ in range(3):
                await anext(stream)
            aws.put("job", "Completed")
            aws.clock_s += 3600
            aws.answers.clear()
            async for tick in stream:
                if tick.marks:
                    break
    assert tick.marks["job"].status == "Completed"


async def test_refused_keys_are_read_again_before_the_poll_ends(aws: Any) -> None:
    watch = Watch()
    aws.answer("sweep", refusal("ExpiredTokenException"), None)
    await ticks(watch, 2)
    assert len(aws.places) == 2
    aws.answer("sweep", refusal("ExpiredTokenException"))
    with pytest.raises(AccessDeniedError):
        await ticks(watch, 5)


async def test_a_policy_that_does_not_allow_lists_makes_all_look(aws: Any) -> None:
    watch = Watch()
    aws.answer("sweep", refusal("AccessDeniedException"))
    with watch.waiting("job"):
        found = await ticks(watch, 3)
    assert found[-1].gone == {"job"}


def trigger(number: int, **fields: Any) -> JobTrigger:
    given = {
        "kind": "training_job",
        "job_name": f"job-{number}",
        "aws_conn_id": "aws_sagemaker",
        "region_name": None,
        "region": "us-east-1",
        "poll_interval_s": 0.01,
        "deadline_s": time.time() + 600,
        **fields,
    }
    return JobTrigger(**given)


class Manager(SharedStreamManager):
    """Airflow's, driven as its ``TriggerRunner`` does."""

    async def run(self, number: int, given: JobTrigger) -> dict[str, Any]:
        key = given.shared_stream_key()
        stream = self.subscribe(trigger_id=number, trigger=given, key=key)
        try:
            (event,) = [event async for event in given.filter_shared_stream(stream)]
        finally:
            await self.unsubscribe(number, key)
        payload: dict[str, Any] = event.payload
        return payload


async def looks(aws: Any, call: str, count: int) -> None:
    """Wait until there were so many."""
    enough = asyncio.Event()

    def note(_: str) -> None:
        if aws.calls.count(call) >= count:
            enough.set()

    aws.on_call = note
    await enough.wait()


async def test_three_hundred_triggers_cost_the_pages_of_one_poll_and_a_look_for_each_end(aws: Any) -> None:
    manager, count = Manager(), 300
    for number in range(count):
        aws.put(f"job-{number}", "InProgress")
    tasks = [asyncio.create_task(manager.run(number, trigger(number))) for number in range(count)]
    await looks(aws, "changes", 20)
    assert "describe" not in aws.calls
    for number in range(count):
        aws.put(f"job-{number}", "Failed", FailureReason="AlgorithmError")
    ends = await asyncio.gather(*tasks)
    assert {payload["end"] for payload in ends} == {"failed"}
    assert aws.calls.count("describe") == count
    assert manager._groups == {}
    assert len(watch_of(trigger(0).shared_stream_key())) == 0


async def test_a_trigger_that_airflow_gives_up_polls_alone(aws: Any) -> None:
    class Overflowed(Exception):
        pass

    async def lost() -> AsyncIterator[Tick]:
        yield Tick(0)
        raise Overflowed

    aws.put("job-1", "InProgress")
    events = trigger(1).filter_shared_stream(lost())
    waiting = asyncio.ensure_future(anext(events))  # type: ignore[call-overload]
    await looks(aws, "sweep", 1)
    aws.put("job-1", "Stopped")
    assert (await waiting).payload["end"] == "stopped"


async def test_triggers_wait_through_trouble_of_the_poll_and_meet_their_deadlines(aws: Any) -> None:
    manager = Manager()
    aws.put("job-1", "InProgress")
    aws.answer("sweep", refusal("ThrottlingException"))
    late = trigger(1, deadline_s=time.time() + 0.2)
    assert (await manager.run(1, late))["end"] == "timed_out"
    assert aws.stopped == ["job-1"]


@pytest.mark.parametrize(
    "other",
    [
        {"aws_conn_id": "another"},
        {"region_name": "eu-west-1"},
        {"region": "eu-west-1"},
        {"kind": "processing_job"},
        {"poll_interval_s": 10.0},
    ],
    ids=str,
)
def test_what_needs_other_calls_has_a_poll_of_its_own(other: dict[str, Any]) -> None:
    assert trigger(1, **other).shared_stream_key() != trigger(1).shared_stream_key()


def test_the_rest_does_not_matter() -> None:
    alike = trigger(2, deadline_s=5.0, succeed_in_trigger=True, poll_interval_s=0.0501)
    assert alike.shared_stream_key() == trigger(1, poll_interval_s=0.05).shared_stream_key()
