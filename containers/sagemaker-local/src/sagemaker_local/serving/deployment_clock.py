"""Time as a deployment counts it: its waits may be shortened, its work takes as long as it takes."""

from __future__ import annotations

import asyncio
import time


class DeploymentClock:
    """Seconds since a deployment began, in which a shortened wait counts in full.

    Args:
        wait_scale: A wait of so many seconds takes this many times as long: 1 in earnest, less in tests.
        elapsed_s: What an earlier server counted already.
    """

    def __init__(self, wait_scale: float, elapsed_s: float = 0.0) -> None:
        self._wait_scale = wait_scale
        self._began = time.monotonic() - elapsed_s
        self._saved_s = 0.0

    @property
    def elapsed_s(self) -> float:
        """What MaximumExecutionTimeoutInSeconds is held against."""
        return time.monotonic() - self._began + self._saved_s

    async def wait(self, seconds: float) -> None:
        """Wait for so many of the deployment's seconds."""
        began = time.monotonic()
        await asyncio.sleep(seconds * self._wait_scale)
        self._saved_s += max(0.0, seconds - (time.monotonic() - began))

    def slice_s(self, real_s: float) -> float:
        """So many of the deployment's seconds pass in ``real_s`` of waiting."""
        return real_s / self._wait_scale if self._wait_scale > 0 else float("inf")
