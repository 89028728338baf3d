"""CloudWatch Logs through boto3."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def logs(client: Callable[..., Any]) -> Any:
    return client("logs")


@pytest.fixture
def group(logs: Any) -> str:
    name = f"/test/{uuid.uuid4().hex[:12]}"
    logs.create_log_group(logGroupName=name)
    return name


def now_ms() -> int:
    return int(time.time() * 1000)


def write(logs: Any, group: str, stream: str, messages: list[str], start_ms: int | None = None) -> int:
    start_ms = start_ms if start_ms is not None else now_ms() - 1000
    if stream not in [
        each["logStreamName"] for each in logs.describe_log_streams(logGroupName=group)["logStreams"]
    ]:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    events = [{"timestamp": start_ms + at, "message": message} for at, message in enumerate(messages)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    return start_ms


def messages_of(answer: dict[str, Any]) -> list[str]:
    return [each["message"] for each in answer["events"]]


def test_groups_and_streams_live_and_die(logs: Any, group: str) -> None:
    start_ms = write(logs, group, "job/algo-1-1", ["one", "two"])
    write(logs, group, "other", ["x"], start_ms - 1000)
    logs.create_log_stream(logGroupName=group, logStreamName="empty")
    described = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [(each["logGroupName"], each["arn"]) for each in described] == [
        (group, f"arn:aws:logs:us-east-1:123456789012:log-group:{group}:*")
    ]
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert [each["logStreamName"] for each in streams] == ["empty", "job/algo-1-1", "other"]
    assert "lastEventTimestamp" not in streams[0]
    assert (streams[1]["firstEventTimestamp"], streams[1]["lastEventTimestamp"]) == (start_ms, start_ms + 1)
    one = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="job/")["logStreams"]
    assert [each["logStreamName"] for each in one] == ["job/algo-1-1"]
    recent = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=1)
    assert [each["logStreamName"] for each in recent["logStreams"]] == ["job/algo-1-1"]
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=group, PaginationConfig={"PageSize": 1}
    )
    assert len([each for page in pages for each in page["logStreams"]]) == 3
    logs.delete_log_stream(logGroupName=group, logStreamName="other")
    logs.delete_log_group(logGroupName=group)
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.describe_log_streams(logGroupName=group)


def test_what_is_there_or_is_not_there(logs: Any, group: str) -> None:
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_stream(logGroupName=group, logStreamName="s")
    event = [{"timestamp": now_ms(), "message": "x"}]
    for call in (
        lambda: logs.get_log_events(logGroupName=group, logStreamName="absent"),
        lambda: logs.get_log_events(logGroupName="/absent", logStreamName="s"),
        lambda: logs.put_log_events(logGroupName=group, logStreamName="absent", logEvents=event),
        lambda: logs.filter_log_events(logGroupName="/absent"),
        lambda: logs.filter_log_events(logGroupName=group, logStreamNames=["absent"]),
        lambda: logs.create_log_stream(logGroupName="/absent", logStreamName="s"),
        lambda: logs.delete_log_group(logGroupName="/absent"),
    ):
        with pytest.raises(logs.exceptions.ResourceNotFoundException):
            call()


def test_reading_forward_meets_every_event_once(logs: Any, group: str) -> None:
    written = [f"line {number}" for number in range(25)]
    write(logs, group, "s", written)
    request = {"logGroupName": group, "logStreamName": "s"}
    read, token = [], None
    answer = logs.get_log_events(**request, startFromHead=True, limit=10)
    while answer["events"]:
        read += messages_of(answer)
        token = answer["nextForwardToken"]
        answer = logs.get_log_events(**request, limit=10, nextToken=token)
    assert read == written
    assert answer["nextForwardToken"] == token  # the end: the same token comes back
    write(logs, group, "s", ["later"], now_ms())
    assert messages_of(logs.get_log_events(**request, nextToken=token)) == ["later"]


def test_reading_backward_starts_at_the_end(logs: Any, group: str) -> None:
    write(logs, group, "s", [f"line {number}" for number in range(25)])
    request = {"logGroupName": group, "logStreamName": "s", "limit": 10}
    newest = logs.get_log_events(**request)
    assert messages_of(newest) == [f"line {number}" for number in range(15, 25)]
    before = logs.get_log_events(**request, nextToken=newest["nextBackwardToken"])
    assert messages_of(before) == [f"line {number}" for number in range(5, 15)]
    # and turns around in between
    again = logs.get_log_events(**request, nextToken=before["nextForwardToken"])
    assert messages_of(again) == messages_of(newest)


@pytest.mark.parametrize("from_head", [True, False])
def test_a_token_of_an_empty_stream_meets_what_comes_later(logs: Any, group: str, from_head: bool) -> None:
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    request = {"logGroupName": group, "logStreamName": "s"}
    token = logs.get_log_events(**request, startFromHead=from_head)["nextForwardToken"]
    write(logs, group, "s", ["first"])
    assert messages_of(logs.get_log_events(**request, nextToken=token)) == ["first"]


def test_turning_around_at_either_end_meets_the_last_event(logs: Any, group: str) -> None:
    write(logs, group, "s", ["0", "1", "2"])
    request = {"logGroupName": group, "logStreamName": "s"}
    end = logs.get_log_events(**request)["nextForwardToken"]
    past_end = logs.get_log_events(**request, nextToken=end)
    assert messages_of(past_end) == []
    assert messages_of(logs.get_log_events(**request, nextToken=past_end["nextBackwardToken"])) == [
        "0",
        "1",
        "2",
    ]
    start = logs.get_log_events(**request)["nextBackwardToken"]
    past_start = logs.get_log_events(**request, nextToken=start)
    assert messages_of(past_start) == []
    assert past_start["nextBackwardToken"] == start
    assert messages_of(logs.get_log_events(**request, nextToken=past_start["nextForwardToken"])) == [
        "0",
        "1",
        "2",
    ]


def test_times_bound_what_is_read(logs: Any, group: str) -> None:
    start_ms = write(logs, group, "s", ["0", "1", "2", "3"])
    bounds = {"startTime": start_ms + 1, "endTime": start_ms + 3}
    events = logs.get_log_events(logGroupName=group, logStreamName="s", startFromHead=True, **bounds)
    assert messages_of(events) == ["1", "2"]  # the end is not part of it here
    assert messages_of(logs.filter_log_events(logGroupName=group, **bounds)) == ["1", "2", "3"]  # here it is


def test_a_page_holds_a_mebibyte(logs: Any, group: str) -> None:
    for _ in range(3):
        write(logs, group, "s", ["x" * 200_000] * 4)
    request = {"logGroupName": group, "logStreamName": "s"}
    answer = logs.get_log_events(**request, startFromHead=True)
    assert len(answer["events"]) == 5
    rest = logs.get_log_events(**request, nextToken=answer["nextForwardToken"])
    assert len(rest["events"]) == 5


def test_filtering_across_streams(logs: Any, group: str) -> None:
    start_ms = write(logs, group, "a", ["ERROR in a", "fine", "ERROR: disk full"])
    write(logs, group, "b", ["WARN in b", "ERROR in b"], start_ms)
    write(logs, group, "c", ["ERROR in c"], start_ms + 10)

    def found(**arguments: Any) -> list[str]:
        return messages_of(logs.filter_log_events(logGroupName=group, **arguments))

    everything = ["ERROR in a", "WARN in b", "fine", "ERROR in b", "ERROR: disk full", "ERROR in c"]
    assert found() == everything
    assert found(filterPattern="ERROR") == [each for each in everything if "ERROR" in each]
    assert found(filterPattern="ERROR disk") == ["ERROR: disk full"]
    assert found(filterPattern='"disk full"') == ["ERROR: disk full"]
    assert found(filterPattern="?WARN ?fine") == ["WARN in b", "fine"]
    assert found(filterPattern="ERROR -disk", logStreamNames=["a"]) == ["ERROR in a"]
    assert found(logStreamNamePrefix="c") == ["ERROR in c"]
    pages = list(
        logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern="ERROR", PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["events"]) for page in pages] == [2, 2]
    ids = [each["eventId"] for page in pages for each in page["events"]]
    assert len(set(ids)) == 4
    with pytest.raises(logs.exceptions.InvalidParameterException, match="not JSON"):
        found(filterPattern="{ $.x = 1 }")


def test_events_of_the_wrong_time_are_rejected(logs: Any, group: str) -> None:
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    request = {"logGroupName": group, "logStreamName": "s"}
    now = now_ms()
    day_ms = 24 * 3600 * 1000
    times = [now - 15 * day_ms, now, now + 3 * 3600 * 1000]
    events = [{"timestamp": at, "message": str(number)} for number, at in enumerate(times)]
    answer = logs.put_log_events(**request, logEvents=events)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2}
    assert messages_of(logs.get_log_events(**request)) == ["1"]
    with pytest.raises(logs.exceptions.InvalidParameterException, match="chronological"):
        logs.put_log_events(**request, logEvents=events[::-1])
    with pytest.raises(logs.exceptions.InvalidParameterException, match="nextToken"):
        logs.get_log_events(**request, nextToken="made up")


def test_events_survive_a_kill(start_server: Callable[..., Any]) -> None:
    server = start_server()
    logs = server.client("logs")
    logs.create_log_group(logGroupName="/g")
    write(logs, "/g", "s", ["one", "two"])
    server.kill()
    server.start()
    answer = server.client("logs").get_log_events(logGroupName="/g", logStreamName="s")
    assert messages_of(answer) == ["one", "two"]


def test_an_operation_that_is_not_there_is_named(logs: Any, group: str) -> None:
    with pytest.raises(ClientError, match="PutMetricFilter") as error:
        logs.put_metric_filter(
            logGroupName=group,
            filterName="f",
            filterPattern="",
            metricTransformations=[{"metricName": "m", "metricNamespace": "n", "metricValue": "1"}],
        )
    assert error.value.response["Error"]["Code"] == "UnknownOperationException"
