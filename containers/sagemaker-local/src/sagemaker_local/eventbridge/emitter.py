"""From a change in the store to an event on the bus, behind whoever made the change.

Events are sent once the disk has the change that they tell of, in the order of the changes, at most once: a
server that is killed loses those that it had not sent, as AWS promises no more than its best effort. Nothing
is done, and nothing of moto is loaded, as long as nobody has made a rule.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sagemaker_local.durability import settled
from sagemaker_local.eventbridge import state_changes
from sagemaker_local.eventbridge.pipeline_events import ExecutionEvents, StepEvents
from sagemaker_local.eventbridge.rules import Rules
from sagemaker_local.eventbridge.state_changes import Source, State, envelope
from sagemaker_local.names import now
from sagemaker_local.store import NotFound, Record

if TYPE_CHECKING:
    from sagemaker_local.services import Services

logger = logging.getLogger(__name__)

WAITING_MOST = 10_000
"""Changes that wait to be told of; those before them are lost when more come."""


@dataclass(frozen=True, slots=True)
class Change:
    """A record as it was after a change, and the state of each of its sources before."""

    record: Record
    earlier: tuple[State, ...]
    at: float


class StateChangeEvents:
    """Watches the store and tells EventBridge.

    Args:
        services: The server's parts.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rules = Rules(services.settings, services.logs)
        self._sources: Mapping[str, tuple[Source, ...]] = {
            **state_changes.SOURCES_OF_DESCRIBED,
            "pipeline_execution": (ExecutionEvents(), StepEvents(self._step_type)),
        }
        self._changes: deque[Change] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Watch from now on."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="state change events")
        self._services.store.watcher = self

    async def close(self) -> None:
        """Watch no longer; what was not sent is lost, and so are the rules."""
        self._services.store.watcher = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def state(self, record: Record) -> tuple[State, ...] | None:
        """What of a record is watched; None where nobody would be told."""
        sources = self._sources.get(record.kind)
        if sources is None or not self._services.moto.has_rules:
            return None
        return copy.deepcopy(tuple(source.state(record) for source in sources))

    def created(self, record: Record) -> None:
        """A record was written first."""
        self._add(record, tuple({} for _ in self._sources[record.kind]))

    def changed(self, record: Record, earlier: tuple[State, ...]) -> None:
        """A record's state became another."""
        self._add(record, earlier)

    def _add(self, record: Record, earlier: tuple[State, ...]) -> None:
        if self._loop is None:
            return
        if len(self._changes) >= WAITING_MOST:
            lost = self._changes.popleft()
            logger.warning("too many events wait: one of %s is lost", lost.record.arn)
        self._changes.append(Change(record, earlier, now()))
        self._loop.call_soon_threadsafe(self._woken.set)

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._changes:
                change = self._changes.popleft()
                try:
                    await settled(self._services.store.commits)
                    await asyncio.to_thread(self._send, change)
                except Exception:
                    # A defect here, or a disk that fails, costs one event and never those after it.
                    logger.exception("no event of %s was sent", change.record.arn)

    def _send(self, change: Change) -> None:
        record, settings = change.record, self._services.settings
        tags = self._services.store.tags(record.arn)
        for source, earlier in zip(self._sources[record.kind], change.earlier, strict=True):
            for detail in source.events(record, earlier, tags):
                event = envelope(settings, source, record, detail, change.at)
                with self._services.moto.inside():
                    self._rules.take(event)

    def _step_type(self, record: Record, name: str) -> str | None:
        # These modules take the server's parts.
        from sagemaker_local.pipelines.definition import read_definition
        from sagemaker_local.pipelines.record import VERSION, version_name

        of = version_name(record.private["pipeline"], record.private["version"])
        try:
            version = self._services.store.get(VERSION, of)
        except NotFound:  # deleted meanwhile
            return None
        return read_definition(version.document["PipelineDefinition"]).steps[name].type
