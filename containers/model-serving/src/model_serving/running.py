"""Where a prediction runs: on the loop while it is quick, else in a thread, with a queue that has an end.

A hop to a thread costs more than the prediction of a compiled model, so small bodies are answered on the
loop as long as they take no longer than MODEL_SERVER_INLINE_MS on average. Everything else goes to
MODEL_SERVER_THREADS threads; /ping answers meanwhile, and who would wait behind MODEL_SERVER_QUEUE others is
sent away at once.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from model_serving.errors import Busy
from model_serving.handlers import Handler, Negotiated
from model_serving.settings import Settings

WEIGHT = 0.2
"""Of the last request in the average."""

CLIP = 2
"""Times MODEL_SERVER_INLINE_MS that a request counts at most: one that the kernel interrupted says nothing of
the model, four slow ones in a row do."""

Answer = tuple[bytes, bytes]
Result = TypeVar("Result")


class Running:
    """Runs the handlers of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.threads, "prediction")
        self._limit = settings.threads + settings.queue
        self._waiting = 0
        self._thread_s = 0.0
        self._average_s: dict[int, float] = {}
        self._batches: dict[int, _Batch] = {}

    def inline(self, handler: Handler, body: bytes) -> bool:
        """Whether :meth:`now` should be called rather than :meth:`later`."""
        settings = self._settings
        return (
            len(body) <= settings.inline_bytes
            and settings.inline_s > 0
            and self._average_s.get(id(handler), 0.0) <= settings.inline_s
            and not settings.batch_max_rows
        )

    def now(self, handler: Handler, body: bytes, negotiated: Negotiated) -> Answer:
        """Answer on the loop."""
        began = time.perf_counter()
        try:
            return handler.answer(body, negotiated)
        finally:
            self.took(handler, body, time.perf_counter() - began)

    async def later(self, handler: Handler, body: bytes, negotiated: Negotiated) -> Answer:
        """Answer in a thread, or in a batch.

        Raises:
            Busy: the queue is full.
        """
        if self._waiting >= self._limit:
            wait_s = math.ceil(self._waiting * self._thread_s / self._settings.threads)
            raise Busy(
                f"{self._waiting} requests wait already (MODEL_SERVER_QUEUE={self._settings.queue}); "
                "try again",
                retry_after_s=max(1, wait_s),
            )
        self._waiting += 1
        try:
            if self._settings.batch_max_rows and handler.batchable:
                return await self._batched(handler, body, negotiated)
            return await self.in_thread(lambda: self._timed(handler, body, negotiated))
        finally:
            self._waiting -= 1

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """Do something that takes its time."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def forget(self, handler: Handler) -> None:
        """The handler's model is not served any longer."""
        self._average_s.pop(id(handler), None)
        self._batches.pop(id(handler), None)

    def _timed(self, handler: Handler, body: bytes, negotiated: Negotiated) -> Answer:
        began = time.perf_counter()
        try:
            return handler.answer(body, negotiated)
        finally:
            took_s = time.perf_counter() - began
            self._thread_s += WEIGHT * (took_s - self._thread_s)
            self.took(handler, body, took_s)

    def took(self, handler: Handler, body: bytes, took_s: float) -> None:
        """Note how long an answer took, for :meth:`inline`."""
        if len(body) <= self._settings.inline_bytes:
            average_s = self._average_s.get(id(handler), 0.0)
            counted_s = min(took_s, CLIP * self._settings.inline_s)
            self._average_s[id(handler)] = average_s + WEIGHT * (counted_s - average_s)

    async def _batched(self, handler: Handler, body: bytes, negotiated: Negotiated) -> Answer:
        rows = handler.read(body, negotiated)
        if not isinstance(rows, np.ndarray) or rows.ndim < 2:
            answers = await self.in_thread(lambda: handler.predict(rows))
        else:
            batch = self._batches.setdefault(id(handler), _Batch(self, handler, self._settings))
            answers = await batch.join(rows)
        return handler.write(answers, negotiated)


@dataclass(slots=True)
class _Batch:
    """Rows of requests that wait to be predicted together."""

    running: Running
    handler: Handler
    settings: Settings
    rows: list[np.ndarray[Any, Any]] = field(default_factory=list)
    futures: list[asyncio.Future[Any]] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def join(self, rows: np.ndarray[Any, Any]) -> Any:
        """The answers to these rows."""
        loop = asyncio.get_running_loop()
        if self.rows and self.rows[0].shape[1:] != rows.shape[1:]:
            self._start()
        future = loop.create_future()
        self.rows.append(rows)
        self.futures.append(future)
        if sum(map(len, self.rows)) >= self.settings.batch_max_rows:
            self._start()
        elif self.timer is None:
            self.timer = loop.call_later(self.settings.batch_wait_s, self._start)
        return await future

    def _start(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        rows, futures = self.rows, self.futures
        self.rows, self.futures = [], []
        if rows:
            task = asyncio.get_running_loop().create_task(self._predict(rows, futures))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _predict(self, rows: list[np.ndarray[Any, Any]], futures: list[asyncio.Future[Any]]) -> None:
        parts = await self.running.in_thread(lambda: self._parts(rows))
        for future, part in zip(futures, parts, strict=True):
            if future.done():
                continue
            if isinstance(part, Exception):
                future.set_exception(part)
            else:
                future.set_result(part)

    def _parts(self, rows: list[np.ndarray[Any, Any]]) -> list[Any]:
        ends = np.cumsum([len(part) for part in rows])
        try:
            answers = np.asarray(self.handler.predict(np.concatenate(rows)))
            if len(answers) == ends[-1]:
                return list(np.split(answers, ends[:-1]))
        except Exception:  # noqa: S110 - of the user's code; whose rows it were is found out below
            pass
        return [self._alone(part) for part in rows]

    def _alone(self, rows: np.ndarray[Any, Any]) -> Any:
        try:
            return self.handler.predict(rows)
        except Exception as error:  # of the user's code; it is its row's answer
            return error
