"""CloudWatch Logs: groups, streams, events.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from sagemaker_local.errors import AwsError
from sagemaker_local.logs.filter_pattern import InvalidParameterException, compile_pattern
from sagemaker_local.logs.log_store import EVENTS_PER_PAGE, now_ms
from sagemaker_local.logs.records import (
    BEGINNING,
    END,
    GroupExists,
    LogStream,
    NoSuchGroup,
    NoSuchStream,
    Position,
    StreamExists,
)
from sagemaker_local.services import Services

Answer = dict[str, Any]
T = TypeVar("T")

DESCRIBE_MAXIMUM = 50
TOO_NEW_MS = 2 * 3600 * 1000
TOO_OLD_MS = 14 * 24 * 3600 * 1000
"""PutLogEvents takes events from 14 days ago to 2 hours ahead."""

TOKEN = re.compile(r"([fb])/(-?\d+)\.(-?\d+)")


class ResourceNotFoundException(AwsError):
    """A group or stream is not there."""

    code = "ResourceNotFoundException"


class ResourceAlreadyExistsException(AwsError):
    """A group or stream of that name is there."""

    code = "ResourceAlreadyExistsException"


@contextlib.contextmanager
def _aws_errors() -> Iterator[None]:
    """The store's errors in AWS's words."""
    try:
        yield
    except NoSuchGroup as error:
        raise ResourceNotFoundException(f"The specified log group does not exist: {error}") from error
    except NoSuchStream as error:
        raise ResourceNotFoundException(f"The specified log stream does not exist: {error}") from error
    except GroupExists as error:
        raise ResourceAlreadyExistsException(f"The specified log group already exists: {error}") from error
    except StreamExists as error:
        raise ResourceAlreadyExistsException(f"The specified log stream already exists: {error}") from error


def _in_thread(
    function: Callable[[Services, Answer], Answer],
) -> Callable[[Services, Answer], Awaitable[Answer]]:
    async def handler(services: Services, request: Answer) -> Answer:
        with _aws_errors():
            return await asyncio.to_thread(function, services, request)

    handler.__doc__ = function.__doc__
    return handler


def create_log_group(services: Services, request: Answer) -> Answer:
    """CreateLogGroup."""
    services.logs.create_group(request["logGroupName"])
    return {}


def delete_log_group(services: Services, request: Answer) -> Answer:
    """DeleteLogGroup."""
    services.logs.delete_group(request["logGroupName"])
    return {}


def create_log_stream(services: Services, request: Answer) -> Answer:
    """CreateLogStream."""
    services.logs.create_stream(request["logGroupName"], request["logStreamName"])
    return {}


def delete_log_stream(services: Services, request: Answer) -> Answer:
    """DeleteLogStream."""
    services.logs.delete_stream(request["logGroupName"], request["logStreamName"])
    return {}


def put_retention_policy(services: Services, request: Answer) -> Answer:
    """PutRetentionPolicy: noted and described, nothing is removed."""
    services.logs.set_retention(request["logGroupName"], request["retentionInDays"])
    return {}


def put_log_events(services: Services, request: Answer) -> Answer:
    """PutLogEvents."""
    events = [(event["timestamp"], event["message"]) for event in request["logEvents"]]
    if any(later[0] < earlier[0] for earlier, later in pairwise(events)):
        raise InvalidParameterException(
            "Log events in a single PutLogEvents request must be in chronological order."
        )
    now = now_ms()
    first = sum(timestamp_ms < now - TOO_OLD_MS for timestamp_ms, _ in events)
    end = len(events) - sum(timestamp_ms > now + TOO_NEW_MS for timestamp_ms, _ in events)
    services.logs.append_existing(request["logGroupName"], request["logStreamName"], events[first:end])
    answer: Answer = {"nextSequenceToken": f"{now}{len(events):08d}"}
    rejected: Answer = {}
    if first:
        rejected["tooOldLogEventEndIndex"] = first
    if end < len(events):
        rejected["tooNewLogEventStartIndex"] = end
    if rejected:
        answer["rejectedLogEventsInfo"] = rejected
    return answer


def describe_log_groups(services: Services, request: Answer) -> Answer:
    """DescribeLogGroups."""
    groups = services.logs.describe_groups(request.get("logGroupNamePrefix", ""))
    if pattern := request.get("logGroupNamePattern"):
        groups = [group for group in groups if pattern.lower() in group.name.lower()]
    page, token = _page(groups, [group.name for group in groups], request)
    described = []
    for group in page:
        arn = _group_arn(services, group.name)
        entry = {
            "logGroupName": group.name,
            "creationTime": group.created_ms,
            "metricFilterCount": 0,
            "arn": f"{arn}:*",
            "logGroupArn": arn,
            "logGroupClass": "STANDARD",
            "storedBytes": 0,
        }
        if group.retention_days is not None:
            entry["retentionInDays"] = group.retention_days
        described.append(entry)
    return {"logGroups": described, **token}


def describe_log_streams(services: Services, request: Answer) -> Answer:
    """DescribeLogStreams."""
    group = _group_of(request)
    by_last_event = request.get("orderBy") == "LastEventTime"
    if by_last_event and "logStreamNamePrefix" in request:
        raise InvalidParameterException("Cannot order by LastEventTime with a logStreamNamePrefix.")
    streams = services.logs.describe_streams(
        group,
        request.get("logStreamNamePrefix", ""),
        by_last_event=by_last_event,
        descending=request.get("descending", False),
    )
    page, token = _page(streams, [stream.name for stream in streams], request)
    arn = _group_arn(services, group)
    return {"logStreams": [_described(stream, arn) for stream in page], **token}


def _described(stream: LogStream, group_arn: str) -> Answer:
    entry: Answer = {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "arn": f"{group_arn}:log-stream:{stream.name}",
        "storedBytes": 0,
        "uploadSequenceToken": str(stream.created_ms),
    }
    if stream.last_ms is not None:
        entry |= {
            "firstEventTimestamp": stream.first_ms,
            "lastEventTimestamp": stream.last_ms,
            "lastIngestionTime": stream.ingested_ms,
        }
    return entry


def get_log_events(services: Services, request: Answer) -> Answer:
    """GetLogEvents: tokens lead both ways, and a token that leads nowhere comes back as it was."""
    direction, position = _position(request.get("nextToken"))
    if not direction:
        direction = "f" if request.get("startFromHead", False) else "b"
        position = BEGINNING if direction == "f" else END
    events = services.logs.get_events(
        _group_of(request),
        request["logStreamName"],
        after=position if direction == "f" else None,
        before=position if direction == "b" else None,
        start_ms=request.get("startTime"),
        end_ms=request.get("endTime"),
        limit=request.get("limit", EVENTS_PER_PAGE),
    )
    if events:
        first, last = events[0].position, events[-1].position
    elif position == END:
        first = last = BEGINNING  # the stream is empty: what comes later must not be missed
    else:
        # Turning around must meet the event at which the token stands; its own way, the token stays.
        timestamp_ms, event_id = position
        first = position if direction == "b" else (timestamp_ms, event_id + 1)
        last = position if direction == "f" else (timestamp_ms, event_id - 1)
    return {
        "events": [
            {"timestamp": event.timestamp_ms, "message": event.message, "ingestionTime": event.ingested_ms}
            for event in events
        ],
        "nextForwardToken": _token("f", last),
        "nextBackwardToken": _token("b", first),
    }


def filter_log_events(services: Services, request: Answer) -> Answer:
    """FilterLogEvents."""
    group = _group_of(request)
    names: Sequence[str] | None = request.get("logStreamNames")
    if "logStreamNamePrefix" in request:
        if names is not None:
            raise InvalidParameterException("logStreamNames and logStreamNamePrefix cannot be used together.")
        names = [
            stream.name for stream in services.logs.describe_streams(group, request["logStreamNamePrefix"])
        ]
    elif names is not None:
        known = {stream.name for stream in services.logs.describe_streams(group)}
        for name in names:
            if name not in known:
                raise NoSuchStream(name)
    _, position = _position(request.get("nextToken"))
    page = services.logs.filter_events(
        group,
        names,
        matches=compile_pattern(request.get("filterPattern", "")),
        after=position,
        start_ms=request.get("startTime"),
        end_ms=request.get("endTime"),
        limit=request.get("limit", EVENTS_PER_PAGE),
    )
    answer: Answer = {
        "events": [
            {
                "logStreamName": event.stream,
                "timestamp": event.timestamp_ms,
                "message": event.message,
                "ingestionTime": event.ingested_ms,
                "eventId": str(event.event_id),
            }
            for event in page.events
        ],
        "searchedLogStreams": [],
    }
    if page.next_position is not None:
        answer["nextToken"] = _token("f", page.next_position)
    return answer


def _group_arn(services: Services, group: str) -> str:
    return f"arn:aws:logs:{services.settings.region}:{services.settings.account}:log-group:{group}"


def _group_of(request: Answer) -> str:
    """The group by name or by ARN."""
    if "logGroupName" in request and "logGroupIdentifier" in request:
        raise InvalidParameterException("Only one of logGroupName and logGroupIdentifier can be given.")
    name: str | None = request.get("logGroupName") or request.get("logGroupIdentifier")
    if name is None:
        raise InvalidParameterException("One of logGroupName and logGroupIdentifier must be given.")
    return name.split(":log-group:", 1)[-1].removesuffix(":*") if name.startswith("arn:") else name


def _page(items: Sequence[T], names: Sequence[str], request: Answer) -> tuple[Sequence[T], Mapping[str, str]]:
    """The page behind the request's token, and the token of the next one."""
    start = 0
    if (token := request.get("nextToken")) is not None:
        try:
            last = base64.urlsafe_b64decode(token.encode()).decode()
        except (binascii.Error, ValueError) as error:
            raise InvalidParameterException("The specified nextToken is invalid.") from error
        if last not in names:
            raise InvalidParameterException(
                "The specified nextToken is invalid: it no longer leads anywhere."
            )
        start = names.index(last) + 1
    end = start + request.get("limit", DESCRIBE_MAXIMUM)
    if end >= len(items):
        return items[start:], {}
    return items[start:end], {"nextToken": base64.urlsafe_b64encode(names[end - 1].encode()).decode()}


def _token(direction: str, position: Position) -> str:
    return f"{direction}/{position[0]}.{position[1]}"


def _position(token: str | None) -> tuple[str, Position]:
    """Direction and position of a token; no direction without one."""
    if token is None:
        return "", BEGINNING
    match = TOKEN.fullmatch(token)
    if match is None:
        raise InvalidParameterException("The specified nextToken is invalid.")
    return match[1], (int(match[2]), int(match[3]))


OPERATIONS = {
    "CreateLogGroup": _in_thread(create_log_group),
    "DeleteLogGroup": _in_thread(delete_log_group),
    "CreateLogStream": _in_thread(create_log_stream),
    "DeleteLogStream": _in_thread(delete_log_stream),
    "PutRetentionPolicy": _in_thread(put_retention_policy),
    "PutLogEvents": _in_thread(put_log_events),
    "DescribeLogGroups": _in_thread(describe_log_groups),
    "DescribeLogStreams": _in_thread(describe_log_streams),
    "GetLogEvents": _in_thread(get_log_events),
    "FilterLogEvents": _in_thread(filter_log_events),
}
