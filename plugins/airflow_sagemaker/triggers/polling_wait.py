"""One trigger's wait, from tick to tick of the shared poll."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.hooks.async_clients import forget_client, shared_client
from airflow_sagemaker.hooks.faults import is_missing
from airflow_sagemaker.triggers.backoff import Backoff
from airflow_sagemaker.triggers.log_stream import JobLog
from airflow_sagemaker.triggers.shared_poll import PASSING, REFUSALS, as_trouble, is_passing
from airflow_sagemaker.triggers.shared_poll_listings import LISTINGS
from airflow_sagemaker.triggers.shared_poll_watch import Attention, Tick, Watch

if TYPE_CHECKING:
    from airflow_sagemaker.triggers.polling import PollingTrigger

LATE_LOGS_S = 5.0
"""CloudWatch shows the last lines some seconds late; worth waiting for when something failed."""
MISSES = 2
"""Describe may lag behind Create: what is waited for is gone when it is missing so often in a row."""
TROUBLES_TOLD = 3
"""So many failed looks of the poll in a row are worth a line in every task's log."""


class Wait:
    """Acts on ticks; sleeps between none, so that they do not pile up."""

    def __init__(self, trigger: PollingTrigger, attention: Attention, watch: Watch, job_log: JobLog) -> None:
        self._trigger = trigger
        self._attention = attention
        self._watch = watch
        self._job_log = job_log
        self._listing = LISTINGS[trigger.operation]
        self._backoff = Backoff(trigger.poll_interval_s)
        self._not_before_s = 0.0
        self._misses = self._refusals = self._troubles = 0

    async def hear(self, tick: Tick) -> dict[str, Any] | None:
        """Act on what the poll found; the payload that ends the wait."""
        self._note_trouble(tick)
        if news := self._attention.note(tick, self._listing.active):
            self._trigger.log.info("%s: %s", self._trigger.thing, news.status)
            self._trigger.seen(news.status)
        if time.monotonic() >= self._not_before_s:
            # What Describe alone tells may have come since the last sweep.
            due = self._attention.due or (tick.swept and self._trigger.must_look)
            if (due or self._is_late()) and (payload := await self._look()):
                return payload
            if self._is_late() and (payload := await self._give_up()):
                return payload
        await self._trigger.publish()
        return None

    def trouble(self, error: SageMakerError) -> dict[str, Any]:
        """The payload for what a person has to mend."""
        return self._trigger.payload(
            "trouble", error=type(error).__name__, reason=error.cause, remedy=error.remedy
        )

    def _is_late(self) -> bool:
        return time.time() > self._trigger.deadline_s

    def _pause(self) -> float:
        pause_s = self._backoff.after_trouble()
        self._not_before_s = time.monotonic() + pause_s
        return pause_s

    async def _look(self) -> dict[str, Any] | None:
        trigger = self._trigger
        try:
            described = await self._describe()
        except PASSING as raised:
            error = as_trouble(raised, trigger.thing)
            if not is_passing(error):
                self._refusals += 1
                if self._refusals >= REFUSALS:
                    return self.trouble(error)
                forget_client(trigger.aws_conn_id, trigger.region_name, "sagemaker", trigger.region)
            self._attention.due = True
            trigger.log.warning("%s. Looking again in %.0f s", error, self._pause())
            return None
        self._refusals = 0
        self._backoff.after_success()
        if described is None:
            self._misses += 1
            if self._misses < MISSES:
                self._attention.due = True
                return None
        else:
            self._misses = 0
            self._attention.looked(self._listing.mark(described), str(described[self._listing.status_field]))
        payload = trigger.judge(described)
        try:
            await self._tell(described, payload)
        except Exception:
            # How a job ended must not hang on telling of it.
            trigger.log.exception("%s: its log or its progress could not be told", trigger.thing)
        return None if payload is None else trigger.told(payload)

    async def _tell(self, described: Mapping[str, Any] | None, payload: Mapping[str, Any] | None) -> None:
        """What people see of it: the last lines first, then what Describe says."""
        trigger = self._trigger
        if payload is not None:
            late_s = 0.0 if payload["end"] == "completed" else min(trigger.poll_interval_s, LATE_LOGS_S)
            await self._job_log.finish(late_s=late_s)
        if described is not None:
            for line in trigger.progress(described):
                trigger.log.info("%s: %s", trigger.thing, line)
            if payload is None:  # the last state goes with the results
                await trigger.publish()

    async def _describe(self) -> dict[str, Any] | None:
        trigger = self._trigger
        async with (
            self._watch.gate,
            shared_client(trigger.aws_conn_id, trigger.region_name, "sagemaker", trigger.region) as client,
        ):
            try:
                return await trigger.describe(client)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise

    async def _give_up(self) -> dict[str, Any] | None:
        payload = await self._trigger.give_up()
        if payload is None:
            self._pause()
        return payload

    def _note_trouble(self, tick: Tick) -> None:
        if tick.trouble is None:
            if tick.number:
                self._troubles = 0
            return
        self._troubles += 1
        if self._troubles == TROUBLES_TOLD:
            self._trigger.log.warning("%s. Waiting on", tick.trouble)
