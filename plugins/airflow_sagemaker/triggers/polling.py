"""The one way of waiting: hear what the shared poll found, and let nothing but the answer end the wait.

Airflow's shared streams (``airflow/triggers/shared_stream.py``) run one poll for all triggers of the same
:class:`~airflow_sagemaker.triggers.shared_poll_watch.PollKey` and hand each what it yields. ``run``, which
``dag.test()`` calls, drives the same code with a poll of its own.

Throttling and lost connections slow the looks down and never end the wait: a network or a local SageMaker
may restart meanwhile. Refused credentials do end it, and say so.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, ClassVar

import structlog
from airflow.sdk.bases.xcom import BaseXCom as XCom
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import BaseEventTrigger, TaskSuccessEvent, TriggerEvent

from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.names import UNMAPPED
from airflow_sagemaker.triggers.log_place import LogPlace
from airflow_sagemaker.triggers.log_stream import CursorStore, JobLog, XComCursor
from airflow_sagemaker.triggers.polling_wait import Wait
from airflow_sagemaker.triggers.shared_poll import poll
from airflow_sagemaker.triggers.shared_poll_watch import (
    PollKey,
    Tick,
    Watch,
    interval_class_s,
    watch_of,
)

XCOM_RETURN_KEY = "return_value"


class PollingTrigger(BaseEventTrigger):
    """Wait for one thing until it has come to an end.

    :param aws_conn_id: the Airflow connection
    :param region_name: a region other than the connection's
    :param poll_interval_s: seconds between two looks of the shared poll
    :param deadline_s: seconds since the epoch after which :meth:`give_up` is called
    :param succeed_in_trigger: end the task right here on success
    :param push_results: with ``succeed_in_trigger``, leave the results as the task's XCom
    :param region: where the thing was made; a connection that leads elsewhere by then ends the wait
    """

    supports_triggerer_queue = True
    """Airflow's base turns queues off for what watches assets; this waits for a task."""

    fields: ClassVar[tuple[str, ...]] = (
        "aws_conn_id",
        "region_name",
        "poll_interval_s",
        "deadline_s",
        "succeed_in_trigger",
        "push_results",
        "region",
    )

    def __init__(
        self,
        *,
        aws_conn_id: str,
        region_name: str | None,
        poll_interval_s: float,
        deadline_s: float,
        succeed_in_trigger: bool = False,
        push_results: bool = True,
        region: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.poll_interval_s = poll_interval_s
        self.deadline_s = deadline_s
        self.succeed_in_trigger = succeed_in_trigger
        self.push_results = push_results
        self.region = region

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The trigger as data."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in self.fields}

    @property
    @abstractmethod
    def operation(self) -> str:
        """Key of :data:`~airflow_sagemaker.triggers.shared_poll_listings.LISTINGS`."""

    @property
    @abstractmethod
    def awaited_name(self) -> str:
        """What is waited for, as lists and events name it."""

    @property
    @abstractmethod
    def thing(self) -> str:
        """What is waited for, as errors and log lines name it."""

    @property
    @abstractmethod
    def log_place(self) -> LogPlace:
        """Where it prints."""

    @property
    def must_look(self) -> bool:
        """Whether the wait depends on something that only Describe tells, and has not told yet."""
        return False

    @abstractmethod
    async def describe(self, client: Any) -> dict[str, Any]:
        """One look."""

    async def resume(self) -> None:
        """Take up what another triggerer has told already."""

    @abstractmethod
    def progress(self, described: Mapping[str, Any]) -> list[str]:
        """What is new about it, line by line."""

    def seen(self, status: str) -> None:
        """Note the status that a list showed."""

    def listen(self, text: str) -> None:
        """Hear a line of its log."""

    async def publish(self, *, at_once: bool = False) -> None:
        """Leave its state where people look for it."""

    @abstractmethod
    def judge(self, described: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The event's payload once the answer (None: no such thing) ends the wait."""

    def told(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The payload once the whole log has been heard."""
        return payload

    @abstractmethod
    async def give_up(self) -> dict[str, Any] | None:
        """Act on the deadline; the event's payload, or None to go on waiting."""

    @abstractmethod
    def payload(self, end: str, **more: Any) -> dict[str, Any]:
        """An event's payload: how the wait ended, and what the worker needs to know with it."""

    def shared_stream_key(self) -> PollKey:
        """Which poll serves it."""
        return PollKey(
            self.aws_conn_id,
            self.region_name,
            self.region,
            self.operation,
            interval_class_s(self.poll_interval_s),
        )

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Tick]:
        """The one poll of a group."""
        # Airflow starts it in the context of the first trigger, whose task log is not the poll's.
        structlog.contextvars.clear_contextvars()
        key = cls(**kwargs).shared_stream_key()
        async with aclosing(poll(key, watch_of(key))) as ticks:
            async for tick in ticks:
                yield tick

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Tick]) -> AsyncIterator[TriggerEvent]:
        """Hear what the poll of the group found until the wait has ended."""
        key = self.shared_stream_key()
        watch = watch_of(key)
        async with (
            aclosing(self._unfailing(shared_stream, key, watch)) as ticks,
            aclosing(self.follow(ticks, watch)) as events,
        ):
            async for event in events:
                yield event

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The same with a poll of its own: where there is no triggerer."""
        watch = Watch()
        async with (
            aclosing(poll(self.shared_stream_key(), watch)) as ticks,
            aclosing(self.follow(ticks, watch)) as events,
        ):
            async for event in events:
                yield event

    async def _unfailing(
        self, stream: AsyncIterator[Tick], key: PollKey, watch: Watch
    ) -> AsyncGenerator[Tick]:
        """The group's stream; a poll of its own where Airflow ends that (this trigger's queue overflowed)."""
        try:
            async for tick in stream:
                yield tick
        except SageMakerError:
            raise
        except Exception as error:
            self.log.warning("The shared poll is lost (%s: %s); polling alone", type(error).__name__, error)
            async with aclosing(poll(key, watch, with_events=False)) as ticks:
                async for tick in ticks:
                    yield tick

    async def follow(
        self, ticks: AsyncIterator[Tick], watch: Watch, cursor: CursorStore | None = None
    ) -> AsyncGenerator[TriggerEvent]:
        """Turn what the poll tells into the one event.

        :param cursor: of the first to wait; by default who waits takes up what another one has left with the
            task
        """
        async with AsyncExitStack() as stack:
            attention = stack.enter_context(watch.waiting(self.awaited_name))
            attention.due = self.must_look
            if cursor is None:
                await self.resume()
            job_log = await stack.enter_async_context(self._job_log(cursor))
            wait = Wait(self, attention, watch, job_log)
            try:
                async for tick in ticks:
                    if payload := await wait.hear(tick):
                        yield await self.as_event(payload)
                        return
            except SageMakerError as error:
                yield await self.as_event(wait.trouble(error))

    def _job_log(self, cursor: CursorStore | None) -> JobLog:
        ti = self.task_instance
        if cursor is None and ti is not None:
            cursor = XComCursor(ti)
        return JobLog(
            self.log_place,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            region=self.region,
            poll_interval_s=self.poll_interval_s,
            write=self.log.info,
            warn=self.log.warning,
            listen=self.listen,
            cursor=cursor,
        )

    async def as_event(self, payload: dict[str, Any]) -> TriggerEvent:
        """The end of the task itself where that is allowed, else what the worker is told."""
        ends_here = payload["end"] == "completed" and self.succeed_in_trigger
        if not ends_here:
            await self._leave_state()
        # Both at once: Airflow's supervisor answers a call in each of its rounds, so many milliseconds.
        elif (await asyncio.gather(self._leave_results(payload["results"]), self._leave_state()))[0]:
            return TaskSuccessEvent()
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def _leave_state(self) -> None:
        """What people see of the end; how a job ended must not hang on telling of it."""
        try:
            await self.publish(at_once=True)
        except Exception:
            self.log.exception("%s: its progress could not be told", self.thing)

    async def _leave_results(self, results: dict[str, Any]) -> bool:
        """Write the task's XCom; False where that is left to a worker (``dag.test()``, an API that is down).

        Airflow 3.3.2 can carry XComs in the event, and encodes them twice: a reader would get a text.
        """
        ti = self.task_instance
        if ti is None:
            return False
        if not self.push_results:
            return True
        map_index = UNMAPPED if ti.map_index is None else ti.map_index
        try:
            await XCom.aset(
                XCOM_RETURN_KEY,
                results,
                dag_id=ti.dag_id,
                task_id=ti.task_id,
                run_id=ti.run_id,
                map_index=map_index,
            )
        except AirflowRuntimeError as error:
            self.log.warning("The results are left to a worker to store: %s", error)
            return False
        return True
