"""Which failures are worth another try, and after how long.

The policy is consulted in the worker, with the very error that a task raised (Airflow 3.3,
``airflow.sdk.definitions.retry_policy``); it can end a task early and set a delay, and never exceeds the
task's own ``retries``. What it knows is the table of :mod:`airflow_sagemaker.failures`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from airflow_sagemaker.errors import JobError, JobFailedError, SageMakerError
from airflow_sagemaker.failures import BY_ERROR, PASSING, Delay, of_error, of_reason

if TYPE_CHECKING:
    from airflow.sdk import Context


def failure(
    thing: str, reason: str, otherwise: type[SageMakerError] = JobFailedError, cause: str | None = None
) -> SageMakerError:
    """The error of something that failed, by AWS's reason.

    :param reason: the FailureReason
    :param otherwise: what it is when the reason says no more
    :param cause: how the error words it, where that is more than the reason
    """
    row = of_reason(reason) or BY_ERROR[otherwise]
    return row.error(thing, cause or f"it failed: {reason}", row.remedy)


def ended(kind: type[JobError], thing: str, cause: str) -> SageMakerError:
    """The error of a job that ended otherwise."""
    return kind(thing, cause, BY_ERROR[kind].remedy)


class FailureRetryPolicy(RetryPolicy):
    """Passing trouble is retried, capacity after a longer while; what a person must mend is not.

    Each delay doubles with every try and has jitter, which Airflow's own ``ExceptionRetryPolicy`` lacks.
    An error that is none of ours is left to the task's own ``retries`` and ``retry_delay``.

    :param longest: no delay is longer; for those who would rather not wait for capacity
    """

    def __init__(self, longest: timedelta | None = None) -> None:
        self.longest = longest

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """What to do after this failure of the task."""
        row = of_error(exception)
        if row is None:
            return RetryDecision.default()
        if row.delay is None:
            return RetryDecision.fail("another try meets the same end: a person must act")
        delay = _begun(row.delay, context).after(try_number)
        if self.longest is not None:
            delay = min(delay, self.longest)
        return RetryDecision.retry(delay, f"passing trouble ({row.error.__name__})")

    def serialize(self) -> dict[str, Any]:
        """The class and its bound: the table is code."""
        return {
            "__type": f"{type(self).__module__}.{type(self).__qualname__}",
            "longest_s": None if self.longest is None else self.longest.total_seconds(),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> RetryPolicy:
        """The reverse of :meth:`serialize`."""
        longest_s = data.get("longest_s")
        return cls(None if longest_s is None else timedelta(seconds=longest_s))


def _begun(delay: Delay, context: Context | None) -> Delay:
    """For passing trouble, a delay that begins with what the task says."""
    own = getattr(context["ti"].task, "retry_delay", None) if context is not None else None
    if delay is not PASSING or not isinstance(own, timedelta):
        return delay
    return Delay(own.total_seconds(), max(delay.most_s, own.total_seconds()))


def retry_policy(longest: timedelta | None = None) -> RetryPolicy:
    """For an operator's ``retry_policy``."""
    return FailureRetryPolicy(longest)
