from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk import Context
from airflow.sdk.definitions.retry_policy import RetryAction

from airflow_sagemaker import errors
from airflow_sagemaker.errors import JobStoppedError, RolloutError, SageMakerError, error_named
from airflow_sagemaker.failures import BY_ERROR, CAPACITY, JITTER, PASSING, QUOTA, SPOT, Delay
from airflow_sagemaker.policies import FailureRetryPolicy, ended, failure, retry_policy

RETRIED = {
    "ThrottledError": PASSING,
    "UnreachableError": PASSING,
    "ServiceFaultError": PASSING,
    "SpotInterruptedError": SPOT,
    "QuotaExceededError": QUOTA,
    "CapacityError": CAPACITY,
    "SageMakerError": PASSING,
}
CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, SageMakerError)
}


def is_drawn_from(delay: Delay, drawn: timedelta | None, tries: int = 1) -> bool:
    most_s = min(delay.first_s * 2 ** (tries - 1), delay.most_s)
    return drawn is not None and most_s * (1 - JITTER) <= drawn.total_seconds() <= most_s


@pytest.mark.parametrize("name", sorted(CLASSES))
@pytest.mark.parametrize("tries", [1, 3])
def test_every_error_is_decided_about(name: str, tries: int) -> None:
    decision = retry_policy().evaluate(CLASSES[name]("Job 'x'", "it broke", "Mend it"), tries, 3)
    if delay := RETRIED.get(name):
        assert decision.action is RetryAction.RETRY
        assert is_drawn_from(delay, decision.retry_delay, tries)
    else:
        assert decision.action is RetryAction.FAIL
        assert decision.retry_delay is None


def test_capacity_is_waited_for_longest() -> None:
    assert max(PASSING.most_s, SPOT.most_s, QUOTA.most_s) < CAPACITY.most_s


def test_passing_trouble_begins_with_the_tasks_own_delay() -> None:
    context = cast(Context, {"ti": SimpleNamespace(task=SimpleNamespace(retry_delay=timedelta(seconds=2)))})
    passing = retry_policy().evaluate(errors.ThrottledError("t", "c", "r"), 2, 3, context)
    assert is_drawn_from(Delay(2, 600), passing.retry_delay, 2)
    capacity = retry_policy().evaluate(errors.CapacityError("t", "c", "r"), 1, 3, context)
    assert is_drawn_from(CAPACITY, capacity.retry_delay)


def test_no_delay_exceeds_the_longest() -> None:
    policy = FailureRetryPolicy.deserialize(retry_policy(longest=timedelta(seconds=5)).serialize())
    assert policy.evaluate(errors.CapacityError("t", "c", "r"), 1, 3).retry_delay == timedelta(seconds=5)
    assert cast(Any, FailureRetryPolicy.deserialize(retry_policy().serialize())).longest is None


def test_an_error_of_other_code_is_left_to_the_task_itself() -> None:
    assert retry_policy().evaluate(ValueError("x"), 1, 3).action is RetryAction.DEFAULT


def test_stopped_is_never_success_and_never_tried_again() -> None:
    error = ended(JobStoppedError, "Training job 'x'", "it was stopped")
    assert retry_policy().evaluate(error, 1, 3).action is RetryAction.FAIL


def test_an_endpoint_that_lacks_capacity_is_no_broken_model() -> None:
    lacking = failure("Endpoint 'x'", "Unable to provision requested ML compute capacity", RolloutError)
    broken = failure("Endpoint 'x'", "did not pass the ping health check", RolloutError, cause="it is Failed")
    assert type(lacking) is errors.CapacityError
    assert type(broken) is RolloutError
    assert str(broken) == f"Endpoint 'x': it is Failed. {BY_ERROR[RolloutError].remedy}"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("AlgorithmError: no data, exit code: 1", "JobFailedError"),
        ("ClientError: Data download failed: AccessDenied", "AccessDeniedError"),
        ("CapacityError: Unable to provision requested ML compute capacity", "CapacityError"),
        ("InternalServerError: We encountered an internal error. Please try again.", "ServiceFaultError"),
        ("ResourceLimitExceeded: account-level service limit", "QuotaExceededError"),
        ("Spot capacity was reclaimed", "SpotInterruptedError"),
        ("something nobody has seen", "JobFailedError"),
    ],
)
def test_aws_reason_decides_the_error(reason: str, kind: str) -> None:
    error = failure("Training job 'x'", reason)
    assert type(error).__name__ == kind
    assert reason in str(error)
    assert str(error).startswith("Training job 'x': ")


def test_an_error_says_thing_cause_and_what_to_do() -> None:
    assert str(SageMakerError("Job 'x'", "it broke.", "Mend it")) == "Job 'x': it broke. Mend it"


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_error_crosses_from_the_triggerer_by_its_name(name: str) -> None:
    assert type(error_named(name, "t", "c", "r")) is CLASSES[name]


@pytest.mark.parametrize("name", ["annotations", "NoSuchError", "error_named"])
def test_an_unknown_name_is_still_an_error_of_ours(name: str) -> None:
    assert type(error_named(name, "t", "c", "r")) is SageMakerError
