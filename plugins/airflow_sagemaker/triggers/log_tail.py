"""Follow log streams: every line once, in order, never many in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from airflow_sagemaker.hooks.faults import is_missing

LINES_PER_CALL = 1000
CALLS_PER_LOOK = 10
"""A look at one stream reads at most this many pages, so that a chatty job cannot hold up its own poll."""
STREAMS_REFRESH_S = 30.0


@dataclass(frozen=True)
class LogPlace:
    """Which streams of which group, and from when on.

    :param prefix: what the names of the streams start with; empty for every stream of the group
    :param since_ms: leave out what was printed before, in milliseconds since the epoch
    """

    group: str
    prefix: str = ""
    since_ms: int | None = None

    def streams_request(self) -> dict[str, Any]:
        """The arguments of DescribeLogStreams."""
        request: dict[str, Any] = {"logGroupName": self.group}
        if self.prefix:
            request["logStreamNamePrefix"] = self.prefix
        return request

    def events_request(self, stream: str) -> dict[str, Any]:
        """The arguments of the first GetLogEvents of a stream."""
        request: dict[str, Any] = {
            "logGroupName": self.group,
            "logStreamName": stream,
            "startFromHead": True,
            "limit": LINES_PER_CALL,
        }
        if self.since_ms is not None:
            request["startTime"] = self.since_ms
        return request

    def short(self, stream: str) -> str:
        """A stream's name as people want to read it: ``algo-1`` of ``<job>/algo-1-<epoch>``."""
        rest = stream.removeprefix(self.prefix)
        return rest.rsplit("-", 1)[0] if self.prefix and "-" in rest else rest


@dataclass
class LogTail:
    """The place reached in each of the streams.

    :param client: an aiobotocore client of CloudWatch Logs
    :param write: told the stream's short name and the text of every new line
    :param cursors: stream → token of the next page; give what :attr:`cursors` held to go on from there
    """

    client: Any
    place: LogPlace
    write: Callable[[str, str], None]
    cursors: dict[str, str] = field(default_factory=dict)
    _streams: list[str] = field(default_factory=list)
    _streams_at: float = 0.0

    async def look(self) -> int:
        """Write what is new; tells how many lines that was."""
        await self._find_streams()
        written = 0
        for stream in self._streams:
            written += await self._read(stream)
        return written

    async def drain(self, max_looks: int = 100) -> None:
        """Look until nothing new comes: whatever prints has ended."""
        self._streams_at = 0.0
        for _ in range(max_looks):
            if not await self.look():
                return

    async def _find_streams(self) -> None:
        if self._streams and time.monotonic() - self._streams_at < STREAMS_REFRESH_S:
            return
        found: list[str] = []
        request = self.place.streams_request()
        while True:
            try:
                page = await self.client.describe_log_streams(**request)
            except ClientError as error:
                if is_missing(error):  # nothing was ever printed to this group
                    return
                raise
            found += [stream["logStreamName"] for stream in page.get("logStreams", [])]
            if not (following := page.get("nextToken")):
                break
            request["nextToken"] = following
        self._streams, self._streams_at = sorted(found), time.monotonic()

    async def _read(self, stream: str) -> int:
        written = 0
        request = self.place.events_request(stream)
        for _ in range(CALLS_PER_LOOK):
            if cursor := self.cursors.get(stream):
                request["nextToken"] = cursor
            page = await self.client.get_log_events(**request)
            written += self._write(stream, page.get("events", []))
            following = page.get("nextForwardToken")
            if not following or following == cursor:  # the end of a stream gives its own token back
                break
            self.cursors[stream] = following
        return written

    def _write(self, stream: str, events: Iterable[Mapping[str, Any]]) -> int:
        short = self.place.short(stream)
        count = 0
        for event in events:
            self.write(short, str(event["message"]).rstrip("\n"))
            count += 1
        return count
