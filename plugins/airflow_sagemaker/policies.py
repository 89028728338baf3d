"""Which failures are worth another try.

The policy is consulted in the worker, with the very error that a task raised (Airflow 3.3,
``airflow.sdk.definitions.retry_policy``); it can end a task early and stretch a delay, and never exceeds
the task's own ``retries``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from airflow_sagemaker.errors import (
    AccessDeniedError,
    CapacityError,
    ConnectionSettingsError,
    DataError,
    ForeignResourceError,
    InvocationError,
    JobError,
    JobFailedError,
    JobStoppedError,
    JobTimedOutError,
    JobVanishedError,
    QuotaExceededError,
    RequestRejectedError,
    RolloutError,
    SageMakerError,
    ServiceFaultError,
    SpotInterruptedError,
    ThrottledError,
    UnreachableError,
)

CAPACITY_DELAY = timedelta(minutes=10)

REASONS: tuple[tuple[re.Pattern[str], type[SageMakerError]], ...] = (
    (re.compile(r"AlgorithmError|ClientError", re.I), JobFailedError),
    (re.compile(r"CapacityError|insufficient capacity", re.I), CapacityError),
    (re.compile(r"ResourceLimitExceeded|quota", re.I), QuotaExceededError),
    (re.compile(r"spot", re.I), SpotInterruptedError),
    (re.compile(r"AccessDenied|not authorized|permission", re.I), AccessDeniedError),
    (re.compile(r"InternalServerError|InternalError|server (was )?(restart|stopp)", re.I), ServiceFaultError),
)
"""A job's FailureReason begins with the class of the fault (AlgorithmError, ClientError,
InternalServerError, CapacityError); the first row that matches decides, none of them means the job itself."""

REMEDIES: Mapping[type[SageMakerError], str] = {
    JobFailedError: "Read the job's log above, correct the program or its data, then clear the task",
    CapacityError: "Try again later, or choose another instance type",
    QuotaExceededError: "Wait for other jobs to end, or ask AWS for a higher quota",
    SpotInterruptedError: "Try again, or use on-demand machines",
    AccessDeniedError: "Give the job's role the permission that AWS names, then clear the task",
    ServiceFaultError: "Try again; the fault is not in the job",
    JobStoppedError: "Find out who stopped it; clear the task to run it anew",
    JobTimedOutError: "Give the spec a longer max_runtime_s, or make the job shorter, then clear the task",
    JobVanishedError: "Find out who deleted it; clear the task to run it anew",
}


def failure(thing: str, reason: str) -> SageMakerError:
    """The error of a failed job by AWS's reason."""
    kind = next((kind for pattern, kind in REASONS if pattern.search(reason)), JobFailedError)
    return kind(thing, f"it failed: {reason}", REMEDIES[kind])


def ended(kind: type[JobError], thing: str, cause: str) -> SageMakerError:
    """The error of a job that ended otherwise."""
    return kind(thing, cause, REMEDIES[kind])


def retry_policy() -> ExceptionRetryPolicy:
    """Passing trouble is retried, capacity after a longer while; everything a person must mend is not."""
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception=[CapacityError, QuotaExceededError],
                retry_delay=CAPACITY_DELAY,
                reason="AWS is short of machines or quota: later",
            ),
            RetryRule(
                exception=[ThrottledError, UnreachableError, ServiceFaultError, SpotInterruptedError],
                reason="passing trouble",
            ),
            RetryRule(
                exception=[
                    AccessDeniedError,
                    ConnectionSettingsError,
                    DataError,
                    ForeignResourceError,
                    InvocationError,
                    JobError,  # but for those above
                    RequestRejectedError,
                    RolloutError,
                ],
                action=RetryAction.FAIL,
                reason="another try meets the same end: a person must act",
            ),
        ]
    )
