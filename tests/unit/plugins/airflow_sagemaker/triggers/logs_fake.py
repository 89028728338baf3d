"""CloudWatch Logs as documented, in memory: pages by token, events that show up late, refusals."""

from __future__ import annotations

import asyncio
import gc
import weakref
from bisect import insort
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from botocore.exceptions import ClientError


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "FilterLogEvents")


class Page(list[dict[str, Any]]):
    """A page that tells when nobody holds it any more."""

    __hash__ = object.__hash__  # type: ignore[assignment]


class Logs:
    """One log group.

    Attributes:
        refusals: What the next calls are answered with.
        empty_pages: So many come before every page, with a token each.
    """

    def __init__(self, page: int = 3) -> None:
        self.page = page
        self.events: list[tuple[int, int, str, str]] = []
        self.requests: list[dict[str, Any]] = []
        self.refusals: deque[ClientError] = deque()
        self.empty_pages = 0
        self.missing = False
        self.clients = 0
        self._pages: weakref.WeakSet[Page] = weakref.WeakSet()
        self.most_pages_held = 0

    def put(self, stream: str, timestamp_ms: int, *lines: str) -> None:
        for line in lines:
            insort(self.events, (timestamp_ms, len(self.events), stream, line))

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Logs]:
        self.clients += 1
        yield self

    async def filter_log_events(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        await asyncio.sleep(0)
        if self.refusals:
            raise self.refusals.popleft()
        if self.missing:
            raise refusal("ResourceNotFoundException")
        after, blank = (int(part) for part in request.get("nextToken", "-1/0").split("/"))
        token = f"{after}/{blank + 1}"
        page = Page()
        if blank >= self.empty_pages:
            page, token = self._read(request, after)
        gc.collect(0)
        self.most_pages_held = max(self.most_pages_held, len(self._pages))
        self._pages.add(page)
        return {"events": page, **({"nextToken": token} if token else {})}

    def _read(self, request: dict[str, Any], after: int) -> tuple[Page, str]:
        found = Page()
        prefix, start = request.get("logStreamNamePrefix", ""), request.get("startTime", 0)
        for index in range(after + 1, len(self.events)):
            timestamp_ms, number, stream, line = self.events[index]
            if timestamp_ms < start or not stream.startswith(prefix):
                continue
            if len(found) == self.page:
                return found, f"{index - 1}/0"
            found.append(self._event(stream, timestamp_ms, number, line))
        return found, ""

    @staticmethod
    def _event(stream: str, timestamp_ms: int, number: int, line: str) -> dict[str, Any]:
        return {
            "logStreamName": stream,
            "timestamp": timestamp_ms,
            "eventId": str(number),
            "message": f"{line}\n",
        }


class ManyLines(Logs):
    """One stream of so many lines, ten a millisecond, none of them kept."""

    def __init__(self, lines: int, since_ms: int, stream: str) -> None:
        super().__init__(page=10_000)
        self.lines, self.since_ms, self.stream = lines, since_ms, stream

    def _read(self, request: dict[str, Any], after: int) -> tuple[Page, str]:
        first = max(after + 1, (request.get("startTime", 0) - self.since_ms) * 10)
        last = min(first + self.page, self.lines)
        found = Page(
            self._event(self.stream, self.since_ms + number // 10, number, str(number))
            for number in range(first, last)
        )
        return found, f"{last - 1}/0" if last < self.lines else ""


class Kept:
    """A cursor kept in memory.

    Attributes:
        written: What the task's log holds, for a triggerer that was killed.
    """

    def __init__(self) -> None:
        self.value: Any = None
        self.saves = 0
        self.written: Counter[str] = Counter()

    async def load(self) -> Any:
        return self.value

    async def save(self, value: Any, limit_s: float) -> bool:
        self.value, self.saves = value, self.saves + 1
        return True

    def lines_written(self, since: str) -> Counter[int]:
        return Counter({hash(line): count for line, count in self.written.items()})
