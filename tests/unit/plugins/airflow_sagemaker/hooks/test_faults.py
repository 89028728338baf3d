from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
)

from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.hooks.faults import as_sagemaker_error, has_ended, is_missing, is_taken, translated


def answer(code: str, message: str = "", status: int = 400) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "DescribeTrainingJob")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answer("ThrottlingException", "Rate exceeded"), "ThrottledError"),
        (answer("SlowDown", status=503), "ThrottledError"),
        (answer("AccessDeniedException"), "AccessDeniedError"),
        (answer("ExpiredTokenException"), "AccessDeniedError"),
        (answer("ResourceLimitExceeded"), "QuotaExceededError"),
        (answer("CapacityError"), "CapacityError"),
        (answer("InternalFailure", status=500), "UnreachableError"),
        (answer("ServiceUnavailable", status=503), "UnreachableError"),
        (answer("ValidationException", "1 validation error detected"), "RequestRejectedError"),
        (EndpointConnectionError(endpoint_url="http://x"), "UnreachableError"),
        (ConnectTimeoutError(endpoint_url="http://x"), "UnreachableError"),
        (ReadTimeoutError(endpoint_url="http://x"), "UnreachableError"),
        (NoCredentialsError(), "AccessDeniedError"),
        (NoRegionError(), "ConnectionSettingsError"),
        (ParamValidationError(report="missing"), "RequestRejectedError"),
    ],
    ids=str,
)
def test_what_a_person_would_do_decides_the_class(error: Any, kind: str) -> None:
    translation = as_sagemaker_error(error, "Training job 'x'")
    assert type(translation).__name__ == kind
    assert str(translation).startswith("Training job 'x': ")
    assert translation.remedy


def test_errors_inside_are_translated_and_keep_their_cause() -> None:
    with pytest.raises(SageMakerError, match="Rate exceeded") as raised, translated("Tags"):
        raise answer("Throttling", "Rate exceeded")
    assert isinstance(raised.value.__cause__, ClientError)


@pytest.mark.parametrize(
    ("error", "missing", "taken", "ended"),
    [
        (answer("ValidationException", "Requested resource not found."), True, False, False),
        (answer("ValidationException", 'Could not find model "x".'), True, False, False),
        (answer("ValidationException", "Could not find requested job with name: x"), True, False, False),
        (answer("ResourceNotFound", "x"), True, False, False),
        (answer("NoSuchKey", "x"), True, False, False),
        (answer("404", "Not Found"), True, False, False),
        (answer("ResourceInUse", "Job name must be unique"), False, True, False),
        (answer("ValidationException", "Cannot create already existing model x"), False, True, True),
        (
            answer("ValidationException", "The job is in current state Completed, which cannot be stopped"),
            False,
            False,
            True,
        ),
        (answer("ValidationException", "1 validation error detected: Value 'x'"), False, False, False),
        (answer("AccessDeniedException", "role does not exist"), False, False, False),
    ],
    ids=str,
)
def test_answers_that_are_no_faults(error: ClientError, missing: bool, taken: bool, ended: bool) -> None:
    assert (is_missing(error), is_taken(error), has_ended(error)) == (missing, taken, ended)
