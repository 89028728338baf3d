"""Events of a log group, page by page, oldest first.

FilterLogEvents alone: it searches many streams in one call, and gives the id of every event, which
GetLogEvents does not. A page is at most 1 MB or 10,000 events, and may be empty with more to come.
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from airflow_sagemaker.errors import ThrottledError, UnreachableError
from airflow_sagemaker.hooks.faults import as_sagemaker_error, is_missing
from airflow_sagemaker.triggers.backoff import Backoff

OVERLAP_MS = 20_000
"""CloudWatch shows events some seconds after the time that they carry: so much is read again each time."""


FIRST_PAUSE_S = 1.0


class LogEvent(NamedTuple):
    """One line."""

    stream: str
    timestamp_ms: int
    event_id: str
    text: str


class LogPage(NamedTuple):
    """Some lines, and when AWS says that it answered."""

    events: list[LogEvent]
    answered_ms: int


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Patience:
    """Waits after trouble, longer each time in a row, and tells of it once.

    :param poll_interval_s: between two looks that go well; after trouble a second will do to begin with
    :param tell: given the trouble in words
    """

    def __init__(self, poll_interval_s: float, tell: Callable[[str], None]) -> None:
        self.backoff = Backoff(min(poll_interval_s, FIRST_PAUSE_S))
        self._tell = tell

    async def after(self, group: str, error: Exception) -> None:
        """Wait."""
        pause_s = self.backoff.after_trouble()
        if self.backoff.troubles == 1:
            self._tell(f"Log group {group} cannot be read now, it is tried again: {error}")
        await asyncio.sleep(pause_s)


async def log_pages(
    client: Any, group: str, prefix: str, start_ms: int | None, patience: Patience
) -> AsyncGenerator[LogPage]:
    """The pages of a group from a time on; one empty page where nothing was ever printed to the group.

    A page that is throttled is asked for again, so that much throttling slows down and no more.
    """
    request: dict[str, Any] = {"logGroupName": group}
    if prefix:
        request["logStreamNamePrefix"] = prefix
    if start_ms:
        request["startTime"] = start_ms
    while True:
        try:
            answer = await client.filter_log_events(**request)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and is_missing(error):
                yield LogPage([], now_ms())
                return
            if not isinstance(as_sagemaker_error(error, group), ThrottledError | UnreachableError):
                raise
            await patience.after(group, error)
            continue
        patience.backoff.troubles = 0
        following = answer.get("nextToken")
        yield LogPage([_event(event) for event in answer.get("events", [])], _answered_ms(answer))
        if not following:
            return
        request["nextToken"] = following


def _event(event: dict[str, Any]) -> LogEvent:
    text = str(event["message"]).rstrip("\r\n")
    return LogEvent(event["logStreamName"], int(event["timestamp"]), str(event["eventId"]), text)


def _answered_ms(answer: dict[str, Any]) -> int:
    """AWS's clock where it is behind ours: a host that is ahead must not skip what is to come."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        there_ms = int(parsedate_to_datetime(headers["date"]).timestamp() * 1000)
    except (KeyError, TypeError, ValueError):
        return now_ms()
    return min(now_ms(), there_ms)
