from __future__ import annotations

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction

from airflow_sagemaker import errors
from airflow_sagemaker.errors import SageMakerError, error_named
from airflow_sagemaker.policies import CAPACITY_DELAY, failure, retry_policy

RETRIED = {"ThrottledError", "UnreachableError", "ServiceFaultError", "SpotInterruptedError"}
LATER = {"CapacityError", "QuotaExceededError"}
BASES = {"SageMakerError"}
CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, SageMakerError)
}


@pytest.mark.parametrize("name", sorted(set(CLASSES) - BASES))
def test_every_error_is_decided_about(name: str) -> None:
    decision = retry_policy().evaluate(CLASSES[name]("Job 'x'", "it broke", "Mend it"), 1, 3)
    expected = RetryAction.RETRY if name in RETRIED | LATER else RetryAction.FAIL
    assert decision.action is expected
    assert decision.retry_delay == (CAPACITY_DELAY if name in LATER else None)


def test_an_error_of_other_code_is_left_to_the_task_itself() -> None:
    assert retry_policy().evaluate(ValueError("x"), 1, 3).action is RetryAction.DEFAULT


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("AlgorithmError: no data, exit code: 1", "JobFailedError"),
        ("ClientError: Data download failed: AccessDenied", "JobFailedError"),
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
