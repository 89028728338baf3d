"""One reader for each connection, region and log group feeds every task that waits there.

It reads what is new in pages and gives each line to the task whose stream it stands in: calls grow with what
is printed, not with how many tasks wait. A page is all that it holds; lines are handed on as they are read,
so a task that cannot take more holds the reader up, and nothing piles up.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from typing import Any, Protocol, TypeAlias

from airflow.sdk.exceptions import AirflowRuntimeError
from botocore.exceptions import BotoCoreError, ClientError

from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.hooks.async_clients import forget_client, shared_client
from airflow_sagemaker.triggers.backoff import Backoff
from airflow_sagemaker.triggers.log_pages import (
    FIRST_PAUSE_S,
    OVERLAP_MS,
    LogEvent,
    Patience,
    log_pages,
    now_ms,
)
from airflow_sagemaker.triggers.log_place import LogPlace

log = logging.getLogger(__name__)

OVERLAP_EVENTS = 20_000
"""At most so many events are read again each time, however much is printed within the overlap."""
PAGES_PER_PASS = 200
"""A pass that has not come to the end by then is ended, and the next one goes on from there."""
LINES_AT_ONCE = 200
"""Lines are written in a row while every other trigger waits."""
MIN_GAP_S = 0.25
"""Between two passes, however many tasks ask for one: FilterLogEvents is limited to some calls a second."""
CATCHING_UP_AT_ONCE = 2

READING_FAILED = (ClientError, BotoCoreError, SageMakerError, AirflowRuntimeError)
"""What AWS, the network, and Airflow's API when asked for the connection, answer."""

OpenClient: TypeAlias = Callable[[], AbstractAsyncContextManager[Any]]
ReaderKey: TypeAlias = tuple[int, str, str | None, str, str | None]


class Follower(Protocol):
    """Who is given lines."""

    place: LogPlace
    poll_interval_s: float

    def deliver(self, event: LogEvent) -> None:
        """Take a line of one's own; it may have come before."""

    def read_until(self, complete_ms: int) -> None:
        """Before this time no lines are expected any more."""

    def doubt(self, since_ms: int) -> None:
        """So much was printed that late lines from this time on may have been passed over."""

    def tell(self, trouble: str) -> None:
        """Let people know what is in the way."""


class GroupReader:
    """Read a group while someone follows it.

    :param open_client: a context manager of an aiobotocore client of CloudWatch Logs
    :param group: the log group
    :param forget: makes the next ``open_client`` read the connection anew
    """

    def __init__(
        self, open_client: OpenClient, group: str, forget: Callable[[], None] = lambda: None
    ) -> None:
        self.open_client = open_client
        self.group = group
        self.forget = forget
        self.catching_up = asyncio.Semaphore(CATCHING_UP_AT_ONCE)
        self.pages = 0
        self.refused = False
        self._covered_s = float("-inf")
        self._start_ms: int | None = None
        self._followers: list[Follower] = []
        self._by_job: dict[str, list[Follower]] = {}
        self._others: list[Follower] = []
        self._asked = asyncio.Event()
        self._joined = asyncio.Event()
        self._passed = asyncio.Event()

    def join(self, follower: Follower, since_ms: int) -> None:
        """Give the follower its lines from a time on."""
        self._followers.append(follower)
        self._start_ms = since_ms if self._start_ms is None else min(self._start_ms, since_ms)
        self._route(follower)
        self._joined.set()

    def leave(self, follower: Follower) -> None:
        """Give it no more."""
        if follower in self._followers:
            self._followers.remove(follower)
            self._route(follower, away=True)
            if not self._followers:  # whoever comes next says from when on
                self._start_ms = None

    async def read_all_until(self, asked_s: float) -> None:
        """Read at once, and return when all is read that was there at that time of the monotonic clock."""
        while self._covered_s < asked_s:
            passed = self._passed
            self._asked.set()
            await passed.wait()

    async def run(self) -> None:
        """Read for ever. Trouble slows the reading down, and is told to those who wait for lines."""
        patience: Patience | None = None
        while True:
            if not self._followers:
                self._joined.clear()
                await self._joined.wait()
            patience = patience or Patience(self._interval_s, self._tell)
            try:
                async with self.open_client() as client:
                    while self._followers:
                        await self._pass(client, patience)
                        self.refused = False
                        await self._rest(Backoff(self._interval_s).after_success())
            except READING_FAILED as error:
                self.refused = True
                self.forget()
                await patience.after(self.group, error)
            except Exception as error:  # a defect of ours: those who wait must go on getting lines
                log.exception("The reader of log group %s goes on after an error of its own", self.group)
                await patience.after(self.group, error)

    @property
    def _interval_s(self) -> float:
        return min((follower.poll_interval_s for follower in self._followers), default=FIRST_PAUSE_S)

    def _tell(self, trouble: str) -> None:
        for follower in list(self._followers):
            follower.tell(trouble)

    async def _rest(self, pause_s: float) -> None:
        await asyncio.sleep(min(MIN_GAP_S, pause_s))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(pause_s - MIN_GAP_S, 0.0)):
                await self._asked.wait()

    async def _pass(self, client: Any, patience: Patience) -> None:
        """Read from where the last pass has left off, with the overlap, to the end."""
        self._asked.clear()
        followers, started_ms, started_s = list(self._followers), now_ms(), time.monotonic()
        # The first time, or with everybody gone meanwhile, there is nothing to go on from.
        begin_ms = started_ms - OVERLAP_MS if self._start_ms is None else self._start_ms
        self._start_ms = None
        prefix = _common_beginning([follower.place.stream_prefix for follower in followers])
        window = _Window()
        expected_ms, last_ms, pages, ended = started_ms, begin_ms, 0, False
        resume_ms = begin_ms
        try:
            async with aclosing(log_pages(client, self.group, prefix, begin_ms, patience)) as all_pages:
                async for page in all_pages:
                    expected_ms = min(expected_ms, page.answered_ms)
                    if page.events:
                        await self._hand_on(page.events)
                        window.add(page.events)
                        last_ms = page.events[-1].timestamp_ms
                        resume_ms = max(begin_ms, min(window.first_ms, expected_ms - OVERLAP_MS))
                    pages += 1
                    self.pages += 1
                    if pages == PAGES_PER_PASS:
                        break
                else:
                    ended = True
            resume_ms = self._resume_ms(window, expected_ms, last_ms, followers, ended=ended)
            for follower in followers:
                follower.read_until(resume_ms)
            self._covered_s = started_s if ended else started_s - max(started_ms - last_ms, 0) / 1000
        finally:
            self._start_ms = resume_ms if self._start_ms is None else min(self._start_ms, resume_ms)
            passed, self._passed = self._passed, asyncio.Event()
            passed.set()

    def _resume_ms(
        self, window: _Window, expected_ms: int, last_ms: int, followers: Sequence[Follower], *, ended: bool
    ) -> int:
        """From when on the next pass reads."""
        overlap_ms = expected_ms - OVERLAP_MS if ended else min(last_ms, expected_ms - OVERLAP_MS)
        if not (window.squeezed and window.first_ms > overlap_ms):
            return overlap_ms
        for follower in followers:
            follower.doubt(overlap_ms)
        return window.first_ms

    async def _hand_on(self, events: Sequence[LogEvent]) -> None:
        for number, event in enumerate(events, start=1):
            job = event.stream.partition("/")[0]
            for follower in self._by_job.get(f"{job}/", ()):
                follower.deliver(event)
            for follower in self._others:
                if follower.place.takes(event.stream):
                    follower.deliver(event)
            if number % LINES_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _route(self, follower: Follower, *, away: bool = False) -> None:
        """Add or remove one: with thousands of tasks all routes are not made anew for each."""
        prefix = follower.place.prefix
        is_job = prefix.endswith("/") and prefix.count("/") == 1
        # New lists: a pass may be walking along the old ones.
        routed = [*(self._by_job.get(prefix, ()) if is_job else self._others)]
        if away:
            routed.remove(follower)
        else:
            routed.append(follower)
        if not is_job:
            self._others = routed
        elif routed:
            self._by_job[prefix] = routed
        else:
            self._by_job.pop(prefix, None)


def _common_beginning(prefixes: Sequence[str]) -> str:
    """What all of them begin with: a single task's own prefix, and often that of a pipeline."""
    if not prefixes:
        return ""
    least, greatest = min(prefixes), max(prefixes)
    same = 0
    while same < len(least) and least[same] == greatest[same]:
        same += 1
    return least[:same]


class _Window:
    """When the newest :data:`OVERLAP_EVENTS` events of a pass began."""

    def __init__(self) -> None:
        self.squeezed = False
        self._pages: deque[tuple[int, int]] = deque()
        self._events = 0

    @property
    def first_ms(self) -> int:
        return self._pages[0][0]

    def add(self, events: Sequence[LogEvent]) -> None:
        self._pages.append((events[0].timestamp_ms, len(events)))
        self._events += len(events)
        while self._events - self._pages[0][1] >= OVERLAP_EVENTS:
            self._events -= self._pages.popleft()[1]
            self.squeezed = True


class _Lease:
    """A reader, its task, and how many use it."""

    def __init__(self, reader: GroupReader) -> None:
        self.reader = reader
        # An empty context: what the reader itself logs belongs to no task.
        self.task = asyncio.create_task(reader.run(), context=contextvars.Context())
        self.users = 0


_leases: dict[ReaderKey, _Lease] = {}


@asynccontextmanager
async def shared_reader(
    aws_conn_id: str,
    region_name: str | None,
    group: str,
    region: str | None = None,
    open_client: OpenClient | None = None,
) -> AsyncIterator[GroupReader]:
    """The reader of a connection, region and log group, while the block lasts.

    :param region: as :func:`~airflow_sagemaker.hooks.async_clients.shared_client` has it
    :param open_client: a client other than that of the connection
    """
    key = (id(asyncio.get_running_loop()), aws_conn_id, region_name, group, region)
    lease = _leases.get(key)
    if lease is None:
        address = (aws_conn_id, region_name, "logs", region)
        opened = open_client or (lambda: shared_client(*address))
        lease = _leases[key] = _Lease(GroupReader(opened, group, lambda: forget_client(*address)))
    lease.users += 1
    try:
        yield lease.reader
    finally:
        lease.users -= 1
        if lease.users == 0:
            if _leases.get(key) is lease:
                del _leases[key]
            lease.task.cancel()
            await asyncio.wait([lease.task])
