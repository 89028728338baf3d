"""An event loop in a thread of its own: the calling thread is left to signals, which loops take late."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from threading import Event, Thread
from typing import Any, TypeVar

UNWIND_S = 10.0
"""How long interrupted work may take to close its connections."""

THREAD_NAME = "event loop"

Answer = TypeVar("Answer")


def run_apart(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run on an event loop in a thread of its own; what interrupts the calling thread ends it."""
    running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()
    answer: Future[Answer] = Future()
    interrupted = Event()

    async def hold() -> Answer:
        task = asyncio.current_task()
        assert task is not None
        running.set_result((asyncio.get_running_loop(), task))
        if interrupted.is_set():  # nobody may have seen that there is something to cancel
            work.close()
            raise asyncio.CancelledError
        return await work

    def run() -> None:
        try:
            answer.set_result(asyncio.run(hold()))
        except BaseException as error:  # whatever it is, it is the caller's
            answer.set_exception(error)

    thread = Thread(target=run, name=THREAD_NAME, daemon=True)
    try:
        # Within: on a busy machine a signal may come before the thread says that it runs.
        thread.start()
        return answer.result()
    except BaseException:
        interrupted.set()
        if thread.ident is not None and not answer.done():
            if running.done():
                loop, task = running.result()
                with suppress(RuntimeError):  # it has ended just now
                    loop.call_soon_threadsafe(task.cancel)
            wait([answer], UNWIND_S)
            thread.join(UNWIND_S)
        raise
