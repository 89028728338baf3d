"""A trigger's wait on the worker that made what it waits for: short jobs end before a deferral would begin.

Handing a task to the triggerer and back costs a second or two, as long as many a local job takes. Where the
connection allows it (``worker_wait_s``), the worker waits that long first, by the trigger's own code: the
same log lines, progress and errors. Then the triggerer goes on where the worker has stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from airflow_sagemaker.triggers.log_stream import XComCursor
from airflow_sagemaker.triggers.loop_thread import UNWIND_S, run_apart
from airflow_sagemaker.triggers.polling import PollingTrigger
from airflow_sagemaker.triggers.shared_poll_watch import Tick, Watch

FIRST_LOOK_S = 0.05
GROWTH = 1.05
"""Each pause by so much longer: the end of a job is seen late by 5 % of its time at most."""


class HandOverCursor(XComCursor):
    """How far the log was written, told once: to the triggerer that goes on.

    A try that begins again on a worker begins a log of its own as well, which needs all lines.
    """

    hands_over = False

    async def load(self) -> Any:
        """This is the first who reads the log."""
        return None

    async def save(self, value: Any, limit_s: float = UNWIND_S) -> bool:
        """Save it, once somebody is to go on there."""
        return self.hands_over and await super().save(value, limit_s)

    def lines_written(self, since: str) -> Counter[int]:
        """No triggerer has written any."""
        return Counter()


def wait_on_worker(trigger: PollingTrigger, task_instance: Any, limit_s: float) -> dict[str, Any] | None:
    """Wait as the trigger does.

    The calling thread does nothing meanwhile but take signals: Airflow's kills and timeouts arrive there.

    :param trigger: used for this wait only
    :param task_instance: of the task at work
    :param limit_s: seconds after which somebody else goes on waiting
    :returns: the event's payload, or None once ``limit_s`` has passed
    """
    trigger.task_instance = task_instance
    trigger.succeed_in_trigger = False  # the worker is here to end the task
    return run_apart(_wait(trigger, HandOverCursor(task_instance), limit_s))


async def _wait(trigger: PollingTrigger, cursor: HandOverCursor, limit_s: float) -> dict[str, Any] | None:
    watch = Watch()
    async with (
        aclosing(_looks(watch, cursor, trigger.poll_interval_s, limit_s)) as ticks,
        aclosing(trigger.follow(ticks, watch, cursor)) as events,
    ):
        async for event in events:
            payload: dict[str, Any] = event.payload
            return payload
    await trigger.publish(at_once=True)  # so that the triggerer does not tell the same again
    return None


async def _looks(watch: Watch, cursor: HandOverCursor, most_s: float, limit_s: float) -> AsyncGenerator[Tick]:
    """Have the job described, sooner at first than later."""
    until_s = time.monotonic() + limit_s
    pause_s = min(FIRST_LOOK_S, most_s)
    while time.monotonic() + pause_s < until_s:
        await asyncio.sleep(pause_s)
        yield Tick(watch.begin_look(), swept=True, gone=frozenset(watch.names))
        pause_s = min(pause_s * GROWTH, most_s)
    cursor.hands_over = True
