"""Wait for a job of any kind; which kind is data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_sagemaker.hooks.async_clients import shared_client
from airflow_sagemaker.hooks.faults import has_ended, is_missing
from airflow_sagemaker.kinds import KINDS, End, JobKind, results_of
from airflow_sagemaker.triggers.log_tail import LogPlace
from airflow_sagemaker.triggers.polling import PollingTrigger


class JobTrigger(PollingTrigger):
    """Wait for one job, and stop it when a user ends the task or the deadline passes.

    A restart of the triggerer stops nothing: Airflow calls ``on_kill`` for a user's clear or mark only.

    :param kind: key of :data:`airflow_sagemaker.kinds.KINDS`
    :param job_name: the job
    :param max_runtime_s: how long the job may run once it has left pending, for kinds that the service lets
        run for ever
    """

    fields = ("kind", "job_name", "max_runtime_s", *PollingTrigger.fields)

    def __init__(self, *, kind: str, job_name: str, max_runtime_s: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.job_name = job_name
        self.max_runtime_s = max_runtime_s

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
        return LogPlace(self._kind.log_group, prefix=f"{self.job_name}/")

    async def describe(self, client: Any) -> dict[str, Any]:
        """Ask for the job."""
        call = getattr(client, f"describe_{self._kind.operation}")
        described: dict[str, Any] = await call(**{self._kind.name_field: self.job_name})
        return described

    def progress(self, described: Mapping[str, Any]) -> str:
        """Its status; a training job's secondary status says more."""
        status, secondary = self._kind.status(described), described.get("SecondaryStatus")
        return f"{status} ({secondary})" if secondary and secondary != status else status

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

    def _limit(self, described: Mapping[str, Any]) -> None:
        """Once the job has left pending, count its run time where the service does not."""
        started = described.get(self._kind.start_field) if self._kind.start_field else None
        if started is not None and self.max_runtime_s is not None:
            self.deadline_s = min(self.deadline_s, started.timestamp() + self.max_runtime_s)

    async def give_up(self) -> dict[str, Any] | None:
        """Stop the job; go on waiting where AWS cannot be told now."""
        if await self._stop():
            return self.payload(
                "timed_out", reason="it outlasted the time that the task gives it and has been stopped"
            )
        return None

    async def on_kill(self) -> None:
        """A user cleared or marked the waiting task: the job must not go on being paid for."""
        self.log.info("The task was ended by a user; stopping %s", self.thing)
        await self._stop()

    def payload(self, end: str, **more: Any) -> dict[str, Any]:
        """The event, with the job's name."""
        return {"job_name": self.job_name, "end": end, **more}

    async def _stop(self) -> bool:
        """Stop the job; False, with the reason in the log, where AWS cannot be told now."""
        try:
            async with shared_client(self.aws_conn_id, self.region_name, "sagemaker") as client:
                call = getattr(client, f"stop_{self._kind.operation}")
                await call(**{self._kind.name_field: self.job_name})
        except ClientError as error:
            if not (is_missing(error) or has_ended(error)):
                self.log.warning("%s could not be stopped: %s", self.thing, error)
                return False
        except BotoCoreError as error:
            self.log.warning("%s could not be stopped: %s", self.thing, error)
            return False
        return True
