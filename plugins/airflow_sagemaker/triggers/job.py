"""Wait for a job of any kind; which kind is data."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from asgiref.sync import sync_to_async
from botocore.exceptions import ClientError

from airflow_sagemaker.hooks.async_clients import forget_client, shared_client
from airflow_sagemaker.hooks.faults import has_ended, is_missing
from airflow_sagemaker.kinds import KINDS, End, JobKind, results_of
from airflow_sagemaker.names import UNMAPPED
from airflow_sagemaker.triggers.backoff import Backoff
from airflow_sagemaker.triggers.log_place import LogPlace
from airflow_sagemaker.triggers.polling import PollingTrigger
from airflow_sagemaker.triggers.progress import Progress, ProgressXCom
from airflow_sagemaker.triggers.shared_poll import PASSING, REFUSALS, as_trouble, is_passing

KILL_LIMIT_S = 27.0
"""A little less than what Airflow grants."""
KILL_INTERVAL_S = 0.5
RUNTIME_GRACE_S = 300.0
"""The service takes its time to end a job at its limit, and to say so."""


class JobTrigger(PollingTrigger):
    """Wait for one job, and stop it when a user ends the task or the deadline passes.

    A restart of the triggerer stops nothing: Airflow calls ``on_kill`` for a user's clear or mark. (Airflow
    3.3.2 also in a triggerer that stood still while another one took its triggers over: see :meth:`on_kill`.)

    :param kind: key of :data:`airflow_sagemaker.kinds.KINDS`
    :param job_name: the job
    :param max_runtime_s: how long the job may run once it has left pending: the deadline is never before that
        is over, and for kinds that the service lets run for ever it is then
    :param metric_definitions: as in the request, ``[{"Name": …, "Regex": …}]``: metrics to find in the log
    :param since_ms: before this it has printed nothing, in milliseconds since the epoch; None where unknown
    """

    fields = ("kind", "job_name", "max_runtime_s", "metric_definitions", "since_ms", *PollingTrigger.fields)

    def __init__(
        self,
        *,
        kind: str,
        job_name: str,
        max_runtime_s: int | None = None,
        metric_definitions: Sequence[Mapping[str, str]] = (),
        since_ms: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.metric_definitions = list(metric_definitions)
        self.since_ms = since_ms
        self.kind = kind
        self.job_name = job_name
        self.max_runtime_s = max_runtime_s
        self._started_s: float | None = None
        self._stopping = False
        self._refusals = 0

    @property
    def operation(self) -> str:
        """The kind's."""
        return self.kind

    @property
    def awaited_name(self) -> str:
        """The job's."""
        return self.job_name

    @property
    def must_look(self) -> bool:
        """Only Describe tells when a transform job left pending."""
        return bool(self._kind.start_field and self.max_runtime_s and self._started_s is None)

    @property
    def _kind(self) -> JobKind:
        return KINDS[self.kind]

    @property
    def thing(self) -> str:
        """As errors and log lines name it."""
        return f"{self._kind.noun.capitalize()} {self.job_name!r}"

    @property
    def log_place(self) -> LogPlace:
        """The job's streams in the group of its kind."""
        prefix = self._kind.stream_prefix(self.job_name)
        return LogPlace(self._kind.log_group, prefix=prefix, since_ms=self.since_ms)

    async def describe(self, client: Any) -> dict[str, Any]:
        """Ask for the job."""
        call = getattr(client, f"describe_{self._kind.operation}")
        described: dict[str, Any] = await call(**{self._kind.name_field: self.job_name})
        return described

    @cached_property
    def _progress(self) -> Progress:
        ti = self.task_instance
        return Progress(
            self._kind,
            metric_definitions=self.metric_definitions,
            store=ProgressXCom(ti) if ti is not None else None,
        )

    async def resume(self) -> None:
        """Take up what another triggerer has told already."""
        await self._progress.resume()

    def progress(self, described: Mapping[str, Any]) -> list[str]:
        """Transitions, seconds and metrics that have not been told."""
        return self._progress.note(described)

    def seen(self, status: str) -> None:
        """There is something to publish before the job is described."""
        self._progress.seen(status)

    def listen(self, text: str) -> None:
        """Find metrics in a line of the job's log."""
        self._progress.listen(text)

    async def publish(self, *, at_once: bool = False) -> None:
        """Leave what is known of the job as the task's XCom ``progress``."""
        await self._progress.publish(at_once=at_once)

    def judge(self, described: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Whether the job has ended, and how."""
        if described is None:
            return self.payload("vanished", reason="AWS does not know it any more")
        end = self._kind.end(described)
        if end is None:
            self._limit(described)
            return None
        if end is End.COMPLETED:
            return self.payload(end.value, results=results_of(self._kind, described))
        if self._kind.overran(described):
            reason = f"AWS ended it: its own max_runtime_s has passed ({self._kind.reason(described)})"
            return self.payload("timed_out", reason=reason)
        return self.payload(end.value, reason=self._kind.reason(described))

    def told(self, payload: dict[str, Any]) -> dict[str, Any]:
        """With the metrics that only the log has, for kinds whose jobs print some."""
        if self._kind.log_metrics and "results" in payload:
            payload["results"] = {**payload["results"], "metrics": dict(self._progress.metrics)}
        return payload

    def _limit(self, described: Mapping[str, Any]) -> None:
        """Once the job has left pending, its run time counts from there."""
        self._stopping = self._stopping or not self._kind.is_alive(described)
        started = described.get(f"{self._kind.title.removesuffix('Job')}StartTime")
        if not isinstance(started, datetime) or self.max_runtime_s is None:
            return
        self._started_s = started.timestamp()
        if self._kind.start_field:
            self.deadline_s = min(self.deadline_s, self._started_s + self.max_runtime_s)
        else:
            own_end_s = self._started_s + self.max_runtime_s + RUNTIME_GRACE_S
            self.deadline_s = max(self.deadline_s, own_end_s)

    async def give_up(self) -> dict[str, Any] | None:
        """Stop the job; go on waiting where AWS cannot be told now, or says that the job has ended."""
        if self._stopping or await self._stop():
            return self.payload(
                "timed_out", reason="it outlasted the time that the task gives it and has been stopped"
            )
        return None

    async def on_kill(self) -> None:
        """A user cleared or marked the waiting task: the job must not go on being paid for.

        Airflow grants ``[triggerer] on_kill_timeout``, 30 s by default; throttling takes less than that.
        """
        if await self._is_still_deferred():
            self.log.info("%s is left to the triggerer that has taken over its task", self.thing)
            return
        self.log.info("The task was ended by a user; stopping %s", self.thing)
        backoff = Backoff(KILL_INTERVAL_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(KILL_LIMIT_S):
                while True:
                    if await self._stop() is not False:
                        return
                    if self._refusals >= REFUSALS:
                        break
                    await asyncio.sleep(backoff.after_trouble())
        self.log.error("%s may still be running: stop it by hand", self.thing)

    def payload(self, end: str, **more: Any) -> dict[str, Any]:
        """The event, with the job's name."""
        return {"job_name": self.job_name, "end": end, **more}

    async def _is_still_deferred(self) -> bool:
        """Whether the task waits as before, so that nobody has acted on it; False where Airflow cannot tell.

        ``TriggerRunnerSupervisor.update_triggers`` cancels what another triggerer runs now in the same words
        as what a user has ended. A cleared task that waits again does so for another job, and its own try has
        settled this one.
        """
        ti = self.task_instance
        if ti is None:
            return False
        map_index = UNMAPPED if ti.map_index is None else ti.map_index
        try:
            states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
                dag_id=ti.dag_id, map_index=map_index, task_ids=[ti.task_id], run_ids=[ti.run_id]
            )
        except (AirflowRuntimeError, OSError, RuntimeError) as error:
            self.log.warning("Airflow does not tell the state of the task: %s", error)
            return False
        key = ti.task_id if map_index == UNMAPPED else f"{ti.task_id}_{map_index}"
        return bool(states.get(ti.run_id, {}).get(key) == "deferred")

    async def _stop(self) -> bool | None:
        """Stop the job; False where AWS cannot be told now, and why is in the log; None if it is over."""
        place = (self.aws_conn_id, self.region_name, "sagemaker", self.region)
        try:
            async with shared_client(*place) as client:
                call = getattr(client, f"stop_{self._kind.operation}")
                await call(**{self._kind.name_field: self.job_name})
        except PASSING as error:
            if isinstance(error, ClientError) and (is_missing(error) or has_ended(error)):
                return None
            self.log.warning("%s could not be stopped: %s", self.thing, error)
            if not is_passing(as_trouble(error, self.thing)):
                self._refusals += 1
                forget_client(*place)
            return False
        self._stopping = True
        return True
