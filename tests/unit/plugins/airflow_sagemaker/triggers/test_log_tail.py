from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_sagemaker.triggers.log_tail import CALLS_PER_LOOK, LogPlace, LogTail


class Logs:
    """CloudWatch Logs as documented: pages by token, and the end gives its own token back."""

    def __init__(self, streams: dict[str, list[str]] | None, page: int = 2) -> None:
        self.streams = streams
        self.page = page
        self.requests: list[dict[str, Any]] = []

    async def describe_log_streams(self, **request: Any) -> dict[str, Any]:
        if self.streams is None:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "DescribeLogStreams")
        prefix = request.get("logStreamNamePrefix", "")
        names = sorted(name for name in self.streams if name.startswith(prefix))
        start = int(request.get("nextToken", 0))
        answer: dict[str, Any] = {
            "logStreams": [{"logStreamName": name} for name in names[start : start + 2]]
        }
        if start + 2 < len(names):
            answer["nextToken"] = str(start + 2)
        return answer

    async def get_log_events(self, **request: Any) -> dict[str, Any]:
        assert self.streams is not None
        self.requests.append(request)
        start = int(request.get("nextToken", 0))
        lines = self.streams[request["logStreamName"]][start : start + self.page]
        return {
            "events": [{"message": f"{line}\n"} for line in lines],
            "nextForwardToken": str(start + len(lines)),
        }


def tail(logs: Logs, place: LogPlace | None = None) -> tuple[LogTail, list[str]]:
    written: list[str] = []
    place = place or LogPlace("/aws/sagemaker/TrainingJobs", prefix="job/")
    return LogTail(logs, place, lambda stream, text: written.append(f"{stream}: {text}")), written


async def test_every_line_once_and_in_order_while_the_job_prints() -> None:
    logs = Logs({"job/algo-1-1700": ["0"], "jobs/algo-1-1": ["foreign"]})
    follow, written = tail(logs)
    for number in range(1, 8):
        await follow.look()
        assert logs.streams is not None
        logs.streams["job/algo-1-1700"] += [f"{number}", f"{number}.5"]
    await follow.drain()
    expected = ["0", *[line for number in range(1, 8) for line in (str(number), f"{number}.5")]]
    assert written == [f"algo-1: {line}" for line in expected]


async def test_a_look_at_a_job_that_prints_without_end_comes_to_one() -> None:
    logs = Logs({"job/algo-1-1": [str(number) for number in range(1000)]})
    follow, written = tail(logs)
    assert await follow.look() == CALLS_PER_LOOK * logs.page == len(written)
    await follow.drain()
    assert len(written) == 1000


async def test_a_job_that_has_not_printed_has_no_lines() -> None:
    follow, written = tail(Logs(None))
    assert await follow.look() == 0
    await follow.drain()
    assert written == []


async def test_a_refused_log_is_the_callers_to_judge() -> None:
    class Denied(Logs):
        async def describe_log_streams(self, **request: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeLogStreams")

    with pytest.raises(ClientError, match="AccessDenied"):
        await tail(Denied({}))[0].look()


async def test_every_machine_of_a_job_is_followed() -> None:
    streams = {f"job/algo-{number}-1": [f"line of {number}"] for number in (1, 2, 3)}
    follow, written = tail(Logs(streams))
    await follow.drain()
    assert written == [f"algo-{number}: line of {number}" for number in (1, 2, 3)]


async def test_cursors_given_on_go_on_where_they_stopped() -> None:
    logs = Logs({"job/algo-1-1": ["a", "b"]})
    first, _ = tail(logs)
    await first.drain()
    assert logs.streams is not None
    logs.streams["job/algo-1-1"].append("c")
    second, written = tail(logs)
    second.cursors = dict(first.cursors)
    await second.drain()
    assert written == ["algo-1: c"]


async def test_an_endpoints_log_starts_with_the_rollout_and_keeps_its_variants_apart() -> None:
    logs = Logs({"AllTraffic/i-1": ["serving"]})
    follow, written = tail(logs, LogPlace("/aws/sagemaker/Endpoints/e", since_ms=1700))
    await follow.drain()
    assert written == ["AllTraffic/i-1: serving"]
    assert {request["startTime"] for request in logs.requests} == {1700}
