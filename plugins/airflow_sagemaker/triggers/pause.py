"""Wait for a moment, and for nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class PauseTrigger(BaseTrigger):
    """Fire at a moment; nothing is paid for meanwhile, so a kill has nothing to stop.

    Airflow's ``DateTimeTrigger`` wakes once a second for each task that waits.

    :param until_s: seconds since the epoch
    """

    def __init__(self, *, until_s: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.until_s = until_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The trigger as data."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"until_s": self.until_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep; a triggerer that restarts sleeps for the rest."""
        await asyncio.sleep(max(self.until_s - time.time(), 0.0))
        yield TriggerEvent({"until_s": self.until_s})  # type: ignore[no-untyped-call]
