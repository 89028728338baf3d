"""What a container's /ping, or its silence, says about the container."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from sagemaker_local.serving.health import Health
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
    await asyncio.wait_for(client.asked.wait(), 60)
    await asyncio.sleep(0)
    assert health.ready is ready
    watching.cancel()


async def test_a_ping_from_before_it_broke_a_connection_is_no_answer_to_that() -> None:
    """The container answered, and died of another request before anybody read what it answered."""
    health = Health(lambda _: None, lambda: True)
    answered: list[bool] = []

    class Broken:
        async def request(self, *_: Any, **__: Any) -> Answer:
            answered.append(health.ready)
            if len(answered) == 2:
                health.suspect()  # while this one is under way
            if len(answered) > 2:
                await asyncio.Event().wait()
            return Answer(status=200)

    watching = asyncio.create_task(health.watch(cast(Client, Broken()), None))
    await health.comes_up()
    health.suspect()
    async with asyncio.timeout(60):
        while len(answered) < 3:  # noqa: ASYNC110 - it is to ask again at once
            await asyncio.sleep(0.01)
    assert answered == [False, False, False]
    assert not health.ready
    watching.cancel()


async def test_one_that_is_slow_to_say_that_it_is_well_is_not_kept_from_requests() -> None:
    """They wait 5 s for it, which is also the time between two regular pings."""
    failed: list[str] = []
    client = Pinged(200, TimeoutError(), ConnectionLost("broken"), 200)
    health = Health(failed.append, lambda: False)
    watching = asyncio.create_task(health.watch(cast(Client, client), None))
    await health.comes_up()
    health.suspect()
    assert await health.wait_ready(4)
    assert failed == ["Health check 1 of 4 failed."]  # asked more often, it has no less time to get well
    watching.cancel()
