"""What a container's /ping, or its silence, says about the container."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sagemaker_local.serving.health import HEALTH_POLL_S, Health
from sagemaker_local.serving.http import Answer, Client, ConnectionLost


class Pinged:
    """A client whose pings end as they are told."""

    def __init__(self, *ends: Exception | int) -> None:
        self.ends = list(ends)
        self.asked = asyncio.Event()

    async def request(self, *_: Any, **__: Any) -> Answer:
        if not self.ends:
            await asyncio.Event().wait()
        end = self.ends.pop(0)
        if not self.ends:
            self.asked.set()
        if isinstance(end, Exception):
            raise end
        return Answer(status=end)


@pytest.mark.parametrize(
    ("ping", "busy", "ready"),
    [
        (200, False, True),
        (500, True, False),
        (ConnectionLost("broken"), True, False),
        (TimeoutError(), False, False),
        # It holds the connection, as a container with one worker does beside a long request.
        (TimeoutError(), True, True),
    ],
)
async def test_one_that_broke_a_connection_is_asked_before_it_gets_another(
    ping: Exception | int, busy: bool, ready: bool
) -> None:
    client = Pinged(200, ping)
    health = Health(lambda _: None, lambda: busy)
    watching = asyncio.create_task(health.watch(cast(Client, client), None))
    await health.comes_up()
    health.suspect()
    assert not health.ready
    await asyncio.wait_for(client.asked.wait(), 5)
    await asyncio.sleep(0)
    assert health.ready is ready
    watching.cancel()


async def test_a_ping_from_before_a_connection_broke_does_not_clear_the_container() -> None:
    """One that ends answers the ping that is under way, breaks a request, and takes connections a while."""
    under_way, answered, again = asyncio.Event(), asyncio.Event(), asyncio.Event()
    pings = 0

    async def ping(*_: Any, **__: Any) -> Answer:
        nonlocal pings
        pings += 1
        if pings == 2:
            under_way.set()
            await answered.wait()
        elif pings == 3:
            again.set()
            await asyncio.Event().wait()
        return Answer(status=200)

    health = Health(lambda _: None, lambda: False)
    watching = asyncio.create_task(health.watch(cast(Client, SimpleNamespace(request=ping)), None))
    await health.comes_up()
    health.suspect()
    await under_way.wait()
    health.suspect()
    answered.set()
    async with asyncio.timeout(HEALTH_POLL_S / 2):
        await again.wait()
    assert not health.ready
    watching.cancel()
