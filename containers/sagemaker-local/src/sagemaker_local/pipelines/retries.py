"""Retry policies of a step: which failures are tried again, how often and after which pause.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sagemaker_local.errors import AwsError

SERVICE_FAULT, THROTTLING = "Step.SERVICE_FAULT", "Step.THROTTLING"
RESOURCE_LIMIT = "SageMaker.RESOURCE_LIMIT"
INTERNAL_ERROR, CAPACITY_ERROR = "SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR"

CODES: Mapping[str, str] = {
    "ThrottlingException": THROTTLING,
    "ResourceLimitExceeded": RESOURCE_LIMIT,
}
"""Error codes of Create operations → the exception types of a policy."""

FAILURE_REASONS: Mapping[str, str] = {
    "InternalServerError": INTERNAL_ERROR,
    "CapacityError": CAPACITY_ERROR,
}
"""Beginnings of a job's FailureReason → the exception types of a policy."""

INTERVAL_DEFAULT_S = 1.0
BACKOFF_RATE_DEFAULT = 2.0
SERVER_ERRORS = 500


def exception_type(error: AwsError) -> str | None:
    """What a policy calls the refusal of a Create operation."""
    if error.code in CODES:
        return CODES[error.code]
    return SERVICE_FAULT if error.status_code >= SERVER_ERRORS else None


def failure_type(reason: str) -> str | None:
    """What a policy calls the FailureReason of a job."""
    return next((kind for start, kind in FAILURE_REASONS.items() if reason.startswith(start)), None)


def pause_s(
    policies: Sequence[Mapping[str, Any]], kind: str | None, attempts: int, elapsed_s: float
) -> float | None:
    """How long to wait before the next attempt; None when there is to be none.

    Args:
        policies: The step's ``RetryPolicies``.
        kind: What failed, in the words of a policy.
        attempts: How often the step was tried.
        elapsed_s: Seconds since it was tried first.
    """
    for policy in policies:
        if kind not in policy.get("ExceptionType", ()):
            continue
        pause = float(policy.get("IntervalSeconds", INTERVAL_DEFAULT_S)) * float(
            policy.get("BackoffRate", BACKOFF_RATE_DEFAULT)
        ) ** (attempts - 1)
        if "MaxAttempts" in policy and attempts > policy["MaxAttempts"]:
            return None
        if "ExpireAfterMin" in policy and elapsed_s + pause > policy["ExpireAfterMin"] * 60:
            return None
        return pause
    return None
