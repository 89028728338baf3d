"""The one way of waiting: look, pass the log on, and let nothing but the answer end it.

Throttling and lost connections slow the looks down and never end the wait: a network or a local SageMaker
may restart meanwhile. Refused credentials do end it, and say so.

Every trigger polls for itself. What one look asks (:meth:`PollingTrigger.describe`) and what its answer
means (:meth:`PollingTrigger.judge`) are apart, so that one shared poll can feed many triggers later.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, ClassVar

from airflow.sdk.bases.xcom import BaseXCom as XCom
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from airflow_sagemaker.errors import SageMakerError, ThrottledError, UnreachableError
from airflow_sagemaker.hooks.async_clients import shared_client
from airflow_sagemaker.hooks.faults import as_sagemaker_error, is_missing
from airflow_sagemaker.names import UNMAPPED
from airflow_sagemaker.triggers.backoff import Backoff
from airflow_sagemaker.triggers.log_tail import LogPlace, LogTail

XCOM_RETURN_KEY = "return_value"
LATE_LOGS_S = 5.0
"""CloudWatch shows the last lines some seconds late; worth waiting for when something failed."""


class PollingTrigger(BaseTrigger):
    """Look at one thing until it has come to an end.

    :param aws_conn_id: the Airflow connection
    :param region_name: a region other than the connection's
    :param poll_interval_s: seconds between two looks
    :param deadline_s: seconds since the epoch after which :meth:`give_up` is called
    :param succeed_in_trigger: end the task right here on success
    :param push_results: with ``succeed_in_trigger``, leave the results as the task's XCom
    """

    fields: ClassVar[tuple[str, ...]] = (
        "aws_conn_id",
        "region_name",
        "poll_interval_s",
        "deadline_s",
        "succeed_in_trigger",
        "push_results",
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
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.poll_interval_s = poll_interval_s
        self.deadline_s = deadline_s
        self.succeed_in_trigger = succeed_in_trigger
        self.push_results = push_results

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The trigger as data."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in self.fields}

    @property
    @abstractmethod
    def thing(self) -> str:
        """What is waited for, as errors and log lines name it."""

    @property
    @abstractmethod
    def log_place(self) -> LogPlace:
        """Where it prints."""

    @abstractmethod
    async def describe(self, client: Any) -> dict[str, Any]:
        """One look."""

    @abstractmethod
    def progress(self, described: Mapping[str, Any]) -> str:
        """Its state in a few words, for the log."""

    @abstractmethod
    def judge(self, described: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The event's payload once the answer (None: no such thing) ends the wait."""

    @abstractmethod
    async def give_up(self) -> dict[str, Any] | None:
        """Act on the deadline; the event's payload, or None to go on waiting."""

    @abstractmethod
    def payload(self, end: str, **more: Any) -> dict[str, Any]:
        """An event's payload: how the wait ended, and what the worker needs to know with it."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the wait has ended."""
        backoff = Backoff(self.poll_interval_s)
        before = ""
        async with AsyncExitStack() as stack:
            client: Any = None
            tail: LogTail | None = None
            while True:
                try:
                    client = client or await self._enter(stack, "sagemaker")
                    tail = tail or self._tail(await self._enter(stack, "logs"))
                    described = await self._look(client)
                    if described is not None and (now := self.progress(described)) != before:
                        self.log.info("%s: %s", self.thing, now)
                        before = now
                    if payload := self.judge(described):
                        await self._last_lines(tail, failed=payload["end"] != "completed")
                        yield await self.as_event(payload)
                        return
                    await self._pass_on(tail)
                except (ClientError, BotoCoreError, SageMakerError, AirflowRuntimeError) as raised:
                    error = self._as_error(raised)
                    if not isinstance(error, ThrottledError | UnreachableError):
                        yield await self.as_event(
                            self.payload(
                                "trouble",
                                error=type(error).__name__,
                                reason=error.cause,
                                remedy=error.remedy,
                            )
                        )
                        return
                    pause_s = backoff.after_trouble()
                    self.log.warning("%s. Looking again in %.0f s", error, pause_s)
                else:
                    pause_s = backoff.after_success()
                if time.time() > self.deadline_s and (payload := await self.give_up()):
                    yield await self.as_event(payload)
                    return
                await asyncio.sleep(pause_s)

    async def as_event(self, payload: dict[str, Any]) -> TriggerEvent:
        """The end of the task itself where that is allowed, else what the worker is told."""
        succeeded = payload["end"] == "completed"
        if succeeded and self.succeed_in_trigger and await self._leave_results(payload["results"]):
            return TaskSuccessEvent()
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]

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

    def _as_error(self, raised: Exception) -> SageMakerError:
        if isinstance(raised, SageMakerError):
            return raised
        if isinstance(raised, ClientError | BotoCoreError):
            return as_sagemaker_error(raised, self.thing)
        # Airflow's own API, asked for the connection, does not answer now.
        return UnreachableError(self.thing, str(raised), "Check that Airflow's API server is up")

    async def _look(self, client: Any) -> dict[str, Any] | None:
        try:
            return await self.describe(client)
        except ClientError as error:
            if is_missing(error):
                return None
            raise

    async def _enter(self, stack: AsyncExitStack, service_name: str) -> Any:
        return await stack.enter_async_context(
            shared_client(self.aws_conn_id, self.region_name, service_name)
        )

    def _tail(self, client: Any) -> LogTail:
        return LogTail(client, self.log_place, lambda stream, text: self.log.info("[%s] %s", stream, text))

    async def _pass_on(self, tail: LogTail) -> None:
        """Copy new log lines; a log that cannot be read now is no reason to stop waiting."""
        try:
            await tail.look()
        except (ClientError, BotoCoreError) as error:
            self.log.warning("The log of %s cannot be read now: %s", self.thing, error)

    async def _last_lines(self, tail: LogTail, *, failed: bool) -> None:
        try:
            await tail.drain()
            if failed:
                await asyncio.sleep(min(self.poll_interval_s, LATE_LOGS_S))
                await tail.drain()
        except (ClientError, BotoCoreError) as error:
            self.log.warning("The last lines of the log of %s could not be read: %s", self.thing, error)
