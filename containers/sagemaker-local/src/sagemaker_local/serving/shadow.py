"""Shadow variants: they get copies of a production variant's requests, and nobody gets their answers.

A copy is made once its request is over, so that it neither delays nor fails the caller, and is dropped when
too many are under way. Source: https://docs.aws.amazon.com/sagemaker/latest/dg/shadow-tests.html
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sagemaker_local import limits
from sagemaker_local.serving.http import Answer, ConnectionLost
from sagemaker_local.serving.router import Variant

logger = logging.getLogger(__name__)

UNDER_WAY_MAXIMUM = 128
"""Copies that wait for answers; more are dropped, so that a slow shadow variant does not fill the memory."""

ROUNDING = 1e-9
"""Ten tenths are one copy."""


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What became of a copy.

    Attributes:
        variant: The shadow variant.
        status: HTTP status of its answer, 0 when there was none.
        latency_s: How long it took.
        answer: The answer, if there was one.
    """

    variant: str
    status: int
    latency_s: float
    answer: Answer | None


Observer = Callable[[Shadowed], Awaitable[None]]
"""Counts and captures what became of a copy."""


class Shadow:
    """Copies requests of one production variant to its shadow variant.

    Args:
        production: Whose requests are copied; its weight stands for all of them.
        shadow: Who gets them; its weight against the production variant's is the sampled share, all at most.
    """

    def __init__(self, production: Variant, shadow: Variant) -> None:
        self._production = production
        self._shadow = shadow
        self._credit = 0.0
        self._under_way: set[asyncio.Task[None]] = set()

    def mirror(self, headers: Mapping[str, str], body: bytes, observe: Observer) -> None:
        """Copy a request, if it is one of those to copy; returns at once and never fails."""
        if not self._sampled():
            return
        if len(self._under_way) >= UNDER_WAY_MAXIMUM:
            logger.warning("shadow variant %s is too slow: a copy is dropped", self._shadow.name)
            return
        task = asyncio.create_task(self._send(headers, body, observe))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def stop(self) -> None:
        """Give up the copies that are under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _sampled(self) -> bool:
        share = self._shadow.weight / self._production.weight if self._production.weight else 1.0
        self._credit += min(1.0, share)
        if self._credit < 1.0 - ROUNDING:
            return False
        self._credit -= 1.0
        return True

    async def _send(self, headers: Mapping[str, str], body: bytes, observe: Observer) -> None:
        began = time.perf_counter()
        answer = None
        try:
            server = self._shadow.pick()
            answer = await server.invoke(headers, body, timeout_s=limits.INVOKE_TIMEOUT_S)
        except (ConnectionLost, TimeoutError) as error:
            logger.info("shadow variant %s did not answer: %s", self._shadow.name, error)
        took_s = time.perf_counter() - began
        try:
            await observe(Shadowed(self._shadow.name, answer.status if answer else 0, took_s, answer))
        except Exception:  # nobody waits for a shadow's answer, who could be told
            logger.exception("what shadow variant %s answered is not recorded", self._shadow.name)
