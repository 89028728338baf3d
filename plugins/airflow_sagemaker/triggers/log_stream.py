"""The log of one job, or endpoint, as its task sees it: every line once, in order, across triggerers.

Lines come from the reader that all tasks of a log group share. How far they were written is kept as the XCom
``log_cursor`` of the task, so that another triggerer goes on there.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol

from airflow_sagemaker.triggers.log_pages import OVERLAP_MS, LogEvent, Patience, log_pages, now_ms
from airflow_sagemaker.triggers.log_place import LogPlace
from airflow_sagemaker.triggers.log_position import LogPosition
from airflow_sagemaker.triggers.log_reader import (
    LINES_AT_ONCE,
    READING_FAILED,
    GroupReader,
    OpenClient,
    shared_reader,
)
from airflow_sagemaker.triggers.log_written import lines_written
from airflow_sagemaker.triggers.progress_store import SAVE_LIMIT_S, TaskXCom

log = logging.getLogger(__name__)

CURSOR_KEY = "log_cursor"
FIRST_CURSOR_S = 1.0
CURSOR_INTERVAL_S = 5.0
CURSOR_WRITE_S = 0.05
"""All tasks of a triggerer together save a cursor once in so long: at most 20 a second."""
SHUTDOWN_SAVE_S, SUPERVISOR_SAVE_S = 1.5, 0.01
"""How long a shutdown waits for the supervisor: in all, and for each task. Airflow allows 10 s."""
SETTLE_S = 1.0
"""A cursor is saved so long after its lines were written: by then they are in the log, whatever is killed."""
RECENT_MS = 10 * 60 * 1000
"""Who has missed no more than this joins the shared reader at once; others first catch up alone."""
STALLED_S = 60.0
"""The last lines are given up when nothing at all could be read for so long: throttling may take its time."""
REFUSED_S = 3.0
"""The same, where AWS does not allow it."""


class CursorStore(Protocol):
    """Where a cursor is kept."""

    async def load(self) -> Any:
        """What was saved, or None."""

    async def save(self, value: Any, limit_s: float) -> bool:
        """Save it; False where that failed, or took longer."""

    def lines_written(self, since: str) -> Counter[int]:
        """Hashes of what the task log on this host has got since a time (ISO 8601, UTC), and how often."""


class XComCursor(TaskXCom):
    """The cursor as an XCom of the task."""

    def __init__(self, task_instance: Any) -> None:
        super().__init__(task_instance, CURSOR_KEY)

    def lines_written(self, since: str) -> Counter[int]:
        """Read back from the log files of this try."""
        return lines_written(self.task_instance, since)


class JobLog:
    """Write the lines of a place while the block lasts.

    Enter it in the trigger's own asyncio task: Airflow routes what a trigger logs by that task's context.

    :param place: where the lines are
    :param write: given each line of the task log
    :param region: the region that the connection must lead to
    :param cursor: where to keep how far the lines were written; None where nothing can be kept
    :param listen: given the bare text of each line, such as :meth:`Progress.listen`
    :param warn: told what is in the way
    :param open_client: a client other than that of the connection
    """

    def __init__(
        self,
        place: LogPlace,
        *,
        aws_conn_id: str,
        region_name: str | None,
        poll_interval_s: float,
        write: Callable[[str], None],
        region: str | None = None,
        cursor: CursorStore | None = None,
        listen: Callable[[str], None] | None = None,
        warn: Callable[[str], None] | None = None,
        open_client: OpenClient | None = None,
    ) -> None:
        self.place = place
        self.poll_interval_s = poll_interval_s
        self.position = LogPosition()
        self._key = (aws_conn_id, region_name, place.group, region, open_client)
        self._write = write
        self._cursor = cursor
        self._listen = listen
        self._warn = warn or write
        self._written: Counter[int] = Counter()
        self._doubt_ms: int | None = None
        self._saved_lines = 0
        self._saved_complete_ms = 0
        self._joined = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> JobLog:
        global _open_logs
        self._context = contextvars.copy_context()
        await self._resume()
        self._reader: GroupReader = await self._stack.enter_async_context(shared_reader(*self._key))
        self._tasks = [asyncio.create_task(self._follow())]
        if self._cursor is not None:
            self._tasks.append(asyncio.create_task(self._save_now_and_then()))
        _open_logs += 1
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        global _open_logs
        _open_logs -= 1
        self._reader.leave(self)
        for task in self._tasks:
            task.cancel()
        # First the cursor: a triggerer that shuts down does not wait long.
        try:
            await self._save(self._snapshot(), ended=exc_type is not None)
        finally:
            await self._stack.aclose()

    async def finish(self, late_s: float = 0.0) -> None:
        """Write what is still to come, now that whatever prints has ended.

        :param late_s: how long to wait for lines that CloudWatch shows late
        """
        if not await self._read_all():
            return
        if late_s > 0:
            await asyncio.sleep(late_s)
            await self._read_all()
        if self._doubt_ms is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(STALLED_S):
                    await self._read_alone(max(self._doubt_ms, self.position.oldest_floor_ms()))

    # The reader calls these.

    def deliver(self, event: LogEvent) -> None:
        """Write a line that has not been written."""
        if not self.position.take(event.stream, event.timestamp_ms, event.event_id):
            return
        if self._listen is not None:
            self._context.run(self._listen, event.text)
        line = self.place.line(event.stream, event.text)
        if self._written and self._written[hash(line)] > 0:  # by the triggerer that was killed
            self._written[hash(line)] -= 1
            return
        self._context.run(self._write, line)

    def read_until(self, complete_ms: int) -> None:
        """Before this time no lines are expected any more."""
        self.position.complete_ms = complete_ms
        self._written.clear()

    def doubt(self, since_ms: int) -> None:
        """Late lines may have been passed over: look for them once more in the end."""
        self._doubt_ms = since_ms if self._doubt_ms is None else min(self._doubt_ms, since_ms)

    def tell(self, trouble: str) -> None:
        """A warning in the task log."""
        self._context.run(self._warn, trouble)

    # Getting to where the reader is.

    async def _resume(self) -> None:
        if self._cursor is None:
            return
        kept = await self._cursor.load()
        position = LogPosition.from_json(kept, self.place)
        if position is None and kept is not None:
            return  # what the log holds is about another place
        if position is not None:
            self.position = position
            self._saved_lines = position.lines
        since = str(kept.get("at", "")) if position is not None else ""
        self._written = await asyncio.to_thread(self._cursor.lines_written, since)

    async def _follow(self) -> None:
        since_ms = self.position.complete_ms or self.place.since_ms
        if since_ms is None or since_ms < now_ms() - RECENT_MS:
            started_ms = now_ms()
            try:
                await self._read_alone(since_ms)
            except Exception as error:  # a defect of ours: what comes from now on must still come
                log.exception("Catching up with %s ended early", self.place)
                self.tell(f"What was printed before is missing here: {type(error).__name__}: {error}")
            since_ms = started_ms - OVERLAP_MS
        self._reader.join(self, max(since_ms, self.place.since_ms or 0))
        self._joined.set()

    async def _read_alone(self, since_ms: int | None) -> None:
        """Read the place's own streams to their end, however much trouble there is on the way."""
        patience = Patience(self.poll_interval_s, self.tell)
        while True:
            try:
                async with self._reader.catching_up, self._reader.open_client() as client:
                    await self._read_pages(client, since_ms, patience)
                return
            except READING_FAILED as error:
                self._reader.refused = True
                self._reader.forget()
                since_ms = self.position.complete_ms or since_ms
                await patience.after(self.place.group, error)

    async def _read_pages(self, client: Any, since_ms: int | None, patience: Patience) -> None:
        started_ms = now_ms()
        pages = log_pages(client, self.place.group, self.place.stream_prefix, since_ms, patience)
        async with aclosing(pages) as all_pages:
            async for page in all_pages:
                self._reader.pages += 1
                for number, event in enumerate(page.events, start=1):
                    if self.place.takes(event.stream):
                        self.deliver(event)
                    if number % LINES_AT_ONCE == 0:
                        await asyncio.sleep(0)
                if page.events:
                    self.position.complete_ms = min(page.events[-1].timestamp_ms, started_ms - OVERLAP_MS)

    async def _read_all(self) -> bool:
        """Wait until all is written that was printed by now; False when nothing moves any more."""
        asked_s: float | None = None
        while True:
            before = (self.position.lines, self._reader.pages)
            try:
                async with asyncio.timeout(REFUSED_S if self._reader.refused else STALLED_S):
                    await self._joined.wait()
                    asked_s = asked_s or time.monotonic()
                    await self._reader.read_all_until(asked_s)
                    return True
            except TimeoutError:
                if (self.position.lines, self._reader.pages) == before:
                    self.tell(f"The last lines of log group {self.place.group} could not be read")
                    return False

    # Keeping the place.

    def _snapshot(self) -> dict[str, Any]:
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {"at": at, **self.position.as_json(self.place)}

    async def _save_now_and_then(self) -> None:
        interval_s = FIRST_CURSOR_S
        while True:
            await asyncio.sleep(interval_s * random.uniform(0.8, 1.2))
            interval_s = max(CURSOR_INTERVAL_S, _open_logs * CURSOR_WRITE_S)
            if self.position.lines != self._saved_lines:
                snapshot = self._snapshot()
                await asyncio.sleep(SETTLE_S)
                await self._save(snapshot)

    async def _save(self, snapshot: dict[str, Any], *, ended: bool = False) -> None:
        """Save what has changed; at a sudden end also how late it is, so that little is read again."""
        late_ms = (snapshot["complete_ms"] or 0) - self._saved_complete_ms
        if self._cursor is None or not (
            snapshot["lines"] != self._saved_lines or (ended and late_ms > RECENT_MS // 2)
        ):
            return
        # While a triggerer shuts down, its supervisor stores what it is sent, and nobody hears the answer.
        limit_s = (
            min(SHUTDOWN_SAVE_S + _open_logs * SUPERVISOR_SAVE_S, SAVE_LIMIT_S) if ended else SAVE_LIMIT_S
        )
        if await self._cursor.save(snapshot, limit_s):
            self._saved_lines = snapshot["lines"]
            self._saved_complete_ms = snapshot["complete_ms"] or 0


_open_logs = 0
