"""One poll for every task that waits for a kind of job by one connection.

Each look asks, in pages, what has changed since the last one; every few minutes a sweep counts what is still
active, for what a list may have missed. So the calls grow with changes and pages, not with tasks. With a
queue of events (:mod:`airflow_sagemaker.triggers.events_queue`) only the sweep is left.

Nothing that AWS answers ends the poll but refused credentials, and a connection that leads elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from botocore.exceptions import BotoCoreError, ClientError

from airflow_sagemaker.errors import (
    AccessDeniedError,
    ConnectionSettingsError,
    SageMakerError,
    ThrottledError,
    UnreachableError,
)
from airflow_sagemaker.hooks.async_clients import connection_settings, forget_client, shared_client
from airflow_sagemaker.hooks.faults import as_sagemaker_error, code_of
from airflow_sagemaker.triggers.backoff import Backoff
from airflow_sagemaker.triggers.events import OPERATIONS_WITH_EVENTS
from airflow_sagemaker.triggers.events_queue import EventQueue, event_queue
from airflow_sagemaker.triggers.shared_poll_listings import (
    LISTINGS,
    Listing,
    Mark,
    as_time,
    server_time_s,
)
from airflow_sagemaker.triggers.shared_poll_watch import BEAT, PollKey, Tick, Watch

log = logging.getLogger(__name__)

OVERLAP_S = 90.0
"""Each look asks again for so much of the time before the last one: lists lag behind."""
SWEEP_INTERVALS = 30
"""A sweep every so many looks; with events, every :data:`SWEEP_INTERVALS_WITH_EVENTS`."""
SWEEP_INTERVALS_WITH_EVENTS = 60
FEW_NEWCOMERS = 3
"""So many describe their jobs themselves; for more, a sweep costs less."""
LEAST_PAGES_OF_A_SWEEP = 5
TASKS_PER_PAGE_OF_A_SWEEP = 10
"""A sweep reads at most one page for so many tasks; what it did not get to is described."""
BEAT_S = 10.0
"""While AWS is not asked, triggers are woken so often, for their deadlines."""
COALESCE_S_PER_TASK = 0.0002
"""Events that come together are passed on together: each costs a wake-up of every task in the group."""
NOT_ALLOWED = frozenset({"AccessDenied", "AccessDeniedException"})
"""Codes for keys that are good and a policy that lacks an action."""

REFUSALS = 2
"""Keys may have been replaced in the connection: it is read again before a refusal ends the wait."""

PASSING = (ClientError, BotoCoreError, SageMakerError, AirflowRuntimeError, OSError, TimeoutError)


def as_trouble(raised: BaseException, thing: str) -> SageMakerError:
    """The plugin's error for whatever kept us from asking AWS about ``thing``."""
    if isinstance(raised, SageMakerError):
        return raised
    if isinstance(raised, ClientError | BotoCoreError):
        return as_sagemaker_error(raised, thing)
    # Airflow's own API, asked for the connection, or the network below it does not answer now.
    return UnreachableError(
        thing, str(raised) or type(raised).__name__, "Check that Airflow's API server is up"
    )


def is_passing(error: SageMakerError) -> bool:
    """Whether waiting helps."""
    return isinstance(error, ThrottledError | UnreachableError)


async def poll(key: PollKey, watch: Watch, *, with_events: bool = True) -> AsyncGenerator[Tick]:
    """Look for ever; raises only what waiting does not mend."""
    backoff = Backoff(key.interval_s)
    async with AsyncExitStack() as held:
        looks = _Looks(key, watch, held, with_events=with_events)
        while True:
            try:
                tick = await looks.look()
                pause_s = backoff.after_success()
            except PASSING as raised:
                error = as_trouble(raised, looks.thing)
                tick = await looks.after(raised, error)
                pause_s = backoff.after_trouble()
                log.warning("%s. Looking again in %.0f s", error, pause_s)
            except Exception:
                # A mistake of ours, or an answer like none before: no reason to fail every task that waits.
                log.exception("%s: the look failed", looks.thing)
                tick = looks.trouble(f"{looks.thing}: the look failed")
                pause_s = backoff.after_trouble()
            yield tick
            until_s = time.monotonic() + pause_s
            while (left_s := until_s - time.monotonic()) > 0:
                if await watch.woken(min(left_s, BEAT_S)):
                    await asyncio.sleep(COALESCE_S_PER_TASK * len(watch))
                    if not backoff.troubles:
                        break
                    yield Tick(0, told=watch.take_told())
                elif left_s > BEAT_S:
                    yield BEAT


@dataclass
class _Looks:
    """What one poll remembers from look to look."""

    key: PollKey
    watch: Watch
    held: AsyncExitStack
    with_events: bool
    queue: EventQueue | None = None
    _client: Any = None
    _refusals: int = 0
    _since_s: float | None = None
    _sweep_at_s: float = 0.0
    _random: random.Random = field(default_factory=random.Random)

    @property
    def listing(self) -> Listing:
        """How this kind is listed."""
        return LISTINGS[self.key.operation]

    @property
    def thing(self) -> str:
        """As errors and log lines name it."""
        return f"The list of {self.key.operation.replace('_', ' ')}s"

    async def look(self) -> Tick:
        """Ask once for whatever is due."""
        number = self.watch.begin_look()
        waited_for = frozenset(self.watch.names)
        await self._enter()
        marks: dict[str, Mark] = {}
        with_events = self.queue is not None and self.queue.is_up
        if self._since_s is not None and not with_events:
            marks = await self._changes(self._since_s)
        gone: frozenset[str] = frozenset()
        swept = self._sweep_is_due(marks)
        if swept:
            gone, active = await self._sweep(waited_for)
            marks = {**active, **marks}
            intervals = SWEEP_INTERVALS_WITH_EVENTS if with_events else SWEEP_INTERVALS
            pause_s = intervals * self.key.interval_s * self._random.uniform(0.9, 1.1)
            self._sweep_at_s = time.monotonic() + pause_s
        self._refusals = 0
        return Tick(number, marks, swept, gone, self.watch.take_told())

    async def after(self, raised: BaseException, error: SageMakerError) -> Tick:
        """What the triggers are told of trouble; raises what ends their wait.

        Keys that were refused may have been replaced in the connection meanwhile: it is read once more.
        Where only the list is not allowed, each trigger describes its own job.
        """
        if is_passing(error):
            return self.trouble(str(error))
        if isinstance(error, ConnectionSettingsError):
            raise error
        self._refusals += 1
        if self._refusals < REFUSALS:
            await self._leave()
            return self.trouble(str(error))
        if isinstance(raised, ClientError) and code_of(raised) in NOT_ALLOWED:
            action = self.listing.list_operation.replace("_", " ").title().replace(" ", "")
            log.warning(
                "%s. Until sagemaker:%s is allowed, every job is described at each look", error, action
            )
            return self._everything()
        if isinstance(error, AccessDeniedError):
            raise error
        return self._everything()

    def trouble(self, text: str) -> Tick:
        """A tick that says why AWS could not be asked; what events told goes along."""
        return Tick(0, told=self.watch.take_told(), trouble=text)

    def _everything(self) -> Tick:
        names = frozenset(self.watch.names)
        return Tick(self.watch.begin_look(), swept=True, gone=names, told=self.watch.take_told())

    async def _enter(self) -> None:
        """The client, and the queue of events where the connection names one."""
        if self._client is not None:
            return
        key = self.key
        client = shared_client(key.aws_conn_id, key.region_name, "sagemaker", key.region)
        self._client = await self.held.enter_async_context(client)
        if not self.with_events or key.operation not in OPERATIONS_WITH_EVENTS:
            return
        try:
            settings = await connection_settings(key.aws_conn_id, key.region_name)
        except ConnectionSettingsError as error:  # a worker needs the settings, waiting does not
            log.warning("%s", error)
            return
        if settings.events_queue_url:
            queue = event_queue(key.aws_conn_id, key.region_name, key.region, settings.events_queue_url)
            self.queue = await self.held.enter_async_context(queue)
            self.held.enter_context(self.queue.telling(key.operation, self.watch))

    async def _leave(self) -> None:
        key = self.key
        forget_client(key.aws_conn_id, key.region_name, "sagemaker", key.region)
        self._client = self.queue = None
        await self.held.aclose()

    async def _changes(self, since_s: float) -> dict[str, Mark]:
        """What of that which is waited for has changed; asks from a little before the last answer on."""
        marks: dict[str, Mark] = {}
        answered_s: float | None = None
        async for page in self.listing.pages(self._client, LastModifiedTimeAfter=as_time(since_s)):
            answered_s = answered_s or server_time_s(page)
            for name, mark in self.listing.marks(page):
                if name in self.watch:
                    marks[name] = mark
        if answered_s is not None:
            self._since_s = answered_s - OVERLAP_S
        return marks

    def _sweep_is_due(self, marks: dict[str, Mark]) -> bool:
        unseen = sum(1 for name in self.watch.newcomers if name not in marks)
        return time.monotonic() >= self._sweep_at_s or unseen > FEW_NEWCOMERS

    async def _sweep(self, waited_for: frozenset[str]) -> tuple[frozenset[str], dict[str, Mark]]:
        """Those waited for that are not active any more, as far as a fair number of pages tells.

        The marks are those of newcomers: what is shown of them later is a change only if it differs.
        """
        missing, newcomers = set(waited_for), frozenset(self.watch.newcomers)
        active: dict[str, Mark] = {}
        pages_left = max(LEAST_PAGES_OF_A_SWEEP, len(waited_for) // TASKS_PER_PAGE_OF_A_SWEEP)
        answered_s: float | None = None
        for status in self.listing.active:
            async for page in self.listing.pages(self._client, StatusEquals=status):
                answered_s = answered_s or server_time_s(page)
                for name, mark in self.listing.marks(page):
                    missing.discard(name)
                    if name in newcomers:
                        active[name] = mark
                pages_left -= 1
                if not missing or not pages_left:
                    break
            if not missing or not pages_left:
                break
        if answered_s is not None and (self._since_s is None or self.queue is not None):
            self._since_s = answered_s - OVERLAP_S
        return frozenset(missing), active
