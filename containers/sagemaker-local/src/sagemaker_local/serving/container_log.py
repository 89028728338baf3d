"""A container's output on its way into the log store, off the event loop."""

from __future__ import annotations

import asyncio
import logging
import time

from sagemaker_local.logs.log_store import LogStore

logger = logging.getLogger(__name__)

FLUSH_DELAY_S = 0.1
"""Lines wait this long for others to be written with them."""


class ContainerLog:
    """One stream of one log group; ``write`` is a :data:`~sagemaker_local.executors.base.LineSink`.

    Args:
        logs: The store.
        group: Log group, e.g. ``/aws/sagemaker/Endpoints/NAME``.
        stream: Log stream, e.g. ``AllTraffic/i-0123``.
    """

    def __init__(self, logs: LogStore, group: str, stream: str) -> None:
        self._logs = logs
        self._group = group
        self._stream = stream
        self._lines: list[tuple[int, str]] = []
        self._flushing: asyncio.Task[None] | None = None

    def write(self, line: str) -> None:
        """Take one line; it is readable shortly after."""
        self._lines.append((int(time.time() * 1000), line))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def close(self) -> None:
        """Return when everything written is in the store."""
        while self._flushing is not None:
            await asyncio.shield(self._flushing)

    async def _flush(self) -> None:
        await asyncio.sleep(FLUSH_DELAY_S)
        lines, self._lines = self._lines, []
        try:
            await asyncio.to_thread(self._logs.append, self._group, self._stream, lines)
        except Exception:  # a log that fails must not end what it tells of
            logger.exception("%d lines of %s %s are lost", len(lines), self._group, self._stream)
        self._flushing = asyncio.create_task(self._flush()) if self._lines else None
