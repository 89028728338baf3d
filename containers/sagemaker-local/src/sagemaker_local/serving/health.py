"""Whether a container is up, as its /ping says.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-algo-ping-requests.html
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from sagemaker_local import limits
from sagemaker_local.executors.base import LineSink
from sagemaker_local.serving.container_network import PORT, listens_on
from sagemaker_local.serving.http import Client, ConnectionLost, NotListening

START_POLL_S = 0.05
HEALTH_POLL_S = 5.0
SUSPECT_POLL_S = 0.25
"""One that broke a connection and did not answer either is asked so often: requests wait for it."""
UNHEALTHY_PINGS = 4
"""So many failed health checks in a row, with no request under way, and the container is replaced."""
LISTENING_CHECK_S = 1.0
"""A container that is slow to answer is looked at so often: perhaps it listens elsewhere."""


class Health:
    """The health of an instance's container, over all its restarts.

    Args:
        log: Hears of failed health checks.
        busy: Whether a request is under way: a container with one worker cannot answer a /ping beside it.

    Attributes:
        came_up: Whether the container that runs, or ran last, ever answered.
        elsewhere: Whether it was seen to listen on 8080 instead.
    """

    def __init__(self, log: LineSink, busy: Callable[[], bool]) -> None:
        self._log = log
        self._busy = busy
        self._ready = asyncio.Event()
        self._suspected = asyncio.Event()
        self._retired = asyncio.Event()
        self.came_up = False
        self.elsewhere = False

    @property
    def ready(self) -> bool:
        """Whether it answered its last /ping and its process is there."""
        return self._ready.is_set()

    async def comes_up(self) -> None:
        """Wait, from the start of the instance, until it is ready."""
        self._retired.clear()
        await self._ready.wait()

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until it is ready; False when it is not by then.

        Raises:
            NotListening: it was stopped meanwhile and will not come back: ask another.
        """
        waits = [asyncio.create_task(event.wait()) for event in (self._ready, self._retired)]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._retired.is_set():
            raise NotListening("the instance was taken out of service")
        return self.ready

    def suspect(self) -> None:
        """Someone saw it refuse or break a connection: not ready until /ping says otherwise."""
        self._ready.clear()
        self._suspected.set()

    def ended(self) -> None:
        """Its process is gone."""
        self._ready.clear()

    def retire(self) -> None:
        """It is stopped for good."""
        self._retired.set()

    async def watch(self, client: Client, pid: int | None) -> None:
        """Keep ``ready`` true to /ping; returns when the container is unhealthy or listens elsewhere.

        Args:
            client: To the container.
            pid: Of the container, if it was told where to listen and perhaps does not care.
        """
        self.came_up = self.elsewhere = False
        await self._come_up(client, pid)
        if self.elsewhere:
            return
        self.came_up = True
        self._suspected.clear()
        self._ready.set()
        failures, counted_at = 0, 0.0
        while failures < UNHEALTHY_PINGS:
            pause_s = HEALTH_POLL_S if self.ready else SUSPECT_POLL_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):  # wait_for loses cancellations in Python 3.11
                    await self._suspected.wait()
            self._suspected.clear()
            up = await _ping(client)
            if up or (up is None and self._busy()):
                failures = 0 if up else failures
                # The answer may be older than what somebody saw while it was waited for: it is asked again.
                if not self._suspected.is_set():
                    self._ready.set()
            elif not self._busy() and (
                self.ready or not failures or time.monotonic() - counted_at >= HEALTH_POLL_S
            ):
                failures, counted_at = failures + 1, time.monotonic()
                self._log(f"Health check {failures} of {UNHEALTHY_PINGS} failed.")

    async def _come_up(self, client: Client, pid: int | None) -> None:
        looked = time.monotonic()
        while not await _ping(client):
            await asyncio.sleep(START_POLL_S)
            if pid is not None and time.monotonic() - looked > LISTENING_CHECK_S:
                self.elsewhere = await asyncio.to_thread(listens_on, pid, PORT)
                if self.elsewhere:
                    return
                looked = time.monotonic()


async def _ping(client: Client) -> bool | None:
    """Whether it is well; None where it holds the connection and says nothing, as one that is busy does."""
    try:
        answer = await client.request("GET", "/ping", timeout_s=limits.PING_TIMEOUT_S)
    except ConnectionLost:
        return False
    except TimeoutError:
        return None
    return answer.status == 200
