"""What uses instances queues for them: in an Airflow pool where there is one, and again where AWS refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.bases.operator import ExecutorSafeguard

from airflow_sagemaker.errors import QuotaExceededError, QuotaTooSmallError
from airflow_sagemaker.failures import Delay
from airflow_sagemaker.operators.base import SageMakerOperator
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.quotas import pool_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.triggers.polling import PollingTrigger

QUOTA_WAIT_S = 86400
"""A backfill may queue for a day."""
QUOTA_DELAY = Delay(30, 600)
"""Between two Creates that a quota refuses: long enough that a thousand tasks in line do not throttle."""


@dataclass(frozen=True)
class Refused:
    """Since when AWS has refused what the task asks for, and how often."""

    since_s: float
    times: int


class InstanceOperator(SageMakerOperator):
    """Base of what uses instances.

    Where AWS refuses Create for lack of quota, nothing has been made and nothing is paid for: the task gives
    its worker back and tries the same Create again later, on the same try.

    :param quota_wait_s: seconds that AWS may refuse for lack of quota before the task fails
    :param worker_wait_s: seconds to wait on the worker before the task defers, the connection's setting by
        default: for what takes seconds, see docs/waiting.md
    :param pools: slots by name of the pools of ``include/quotas.yaml``; ``defaults.default_args`` gives them
    """

    def __init__(
        self,
        *,
        quota_wait_s: int = QUOTA_WAIT_S,
        worker_wait_s: float | None = None,
        pools: Mapping[str, int | None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.quota_wait_s = quota_wait_s
        self.worker_wait_s = worker_wait_s
        self.pools = dict(pools or {})
        self._refused: Refused | None = None

    def queue_in_pool(self, kind: str, job: JsonObject) -> None:
        """Take the pool of the job's instances, unless the DAG's author chose one."""
        found = pool_of(kind, job, self.pools)
        if found is not None and self.pool == SageMakerOperator.pool:
            self.pool, self.pool_slots = found

    def wait_here(self, context: Context, trigger: Callable[[], PollingTrigger]) -> dict[str, Any] | None:
        """Wait on this worker for as long as it may; the event's payload, None where it has to be waited on.

        :param trigger: makes what waits
        """
        limit_s = self.worker_wait_s
        if limit_s is None:
            limit_s = self.hook.settings.worker_wait_s
        if limit_s <= 0:
            return None
        # Imported here: a worker that only defers needs no event loop, which costs it 0.3 s.
        from airflow_sagemaker.triggers.worker_wait import wait_on_worker

        return wait_on_worker(trigger(), context["ti"], limit_s)

    def wait_for_quota(self, error: QuotaExceededError) -> NoReturn:
        """Defer until the same Create is tried again, or raise the error where that is in vain."""
        from airflow_sagemaker.triggers.pause import PauseTrigger

        now_s = time.time()
        refused = self._refused or Refused(since_s=now_s, times=0)
        waited_s = now_s - refused.since_s
        if isinstance(error, QuotaTooSmallError) or waited_s >= self.quota_wait_s:
            raise error
        refused = Refused(refused.since_s, refused.times + 1)
        pause_s = QUOTA_DELAY.after(refused.times).total_seconds()
        pause_s = min(pause_s, self.quota_wait_s - waited_s)
        self.log.warning(
            "%s. Asking again in %.0f s, for %.0f s at most; this is no new try",
            error,
            pause_s,
            self.quota_wait_s - waited_s,
        )
        self.defer(
            trigger=PauseTrigger(until_s=now_s + pause_s),
            method_name="execute_again",
            kwargs={"refused": asdict(refused)},
        )

    def execute_again(self, context: Context, event: Any = None, *, refused: Mapping[str, Any]) -> Any:
        """Back on a worker after a refusal: the same again, under the same name."""
        self._refused = Refused(**refused)
        # Airflow marks the task at work for its own call of execute only (ExecutorSafeguard).
        token = ExecutorSafeguard.tracker.set(self)
        try:
            return self.execute(context)
        finally:
            ExecutorSafeguard.tracker.reset(token)
