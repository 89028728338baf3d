# ruff: noqa: E501 - AWS's texts stay in one piece
"""AWS's own texts, for every kind of job, endpoint and registration: which error they become."""

from __future__ import annotations

import re

import pytest
from botocore.exceptions import ClientError

from airflow_sagemaker import errors
from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.failures import FAILURES, JITTER, Delay, Failure, of_error, of_reason
from airflow_sagemaker.hooks.faults import as_sagemaker_error

CLASSES = {
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SageMakerError)
}
QUOTA_TEXT = (
    "The account-level service limit '{name}' is {quota} Instances, with current utilization of {used} Instances "
    "and a request delta of {delta} Instances. {ask} to request an increase for this {word}."
)


def test_every_error_has_one_row() -> None:
    assert {failure.error for failure in FAILURES} == CLASSES
    assert len(FAILURES) == len(CLASSES)


def test_no_code_stands_twice() -> None:
    codes = [code for failure in FAILURES for code in failure.codes]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.error.__name__)
def test_every_remedy_says_what_to_do(failure: Failure) -> None:
    assert re.match(
        r"(Read|Check|Wait|Ask|Correct|Complete|Delete|Find out|Give|Compare|Land|Improve)\b",
        failure.remedy,
    )


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        # Training
        (
            'AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage "botocore.exceptions.ClientError: '
            'An error occurred (AccessDenied)", exit code: 1',
            "JobFailedError",
        ),
        ("AlgorithmError: framework error: \nTraceback: InternalServerError", "JobFailedError"),
        ("AlgorithmError: Please use an instance type with more memory, exit code: 137", "JobFailedError"),
        (
            "ClientError: Data download failed:Unable to download object s3://bucket/model (AccessDenied: Access "
            "Denied)",
            "AccessDeniedError",
        ),
        (
            "ClientError: Data download failed:NoSuchKey (404): The specified key does not exist.",
            "JobFailedError",
        ),
        (
            "ClientError: Data download failed:Please reduce your request rate. (Service: Amazon S3; Status Code: "
            "503; Error Code: SlowDown)",
            "ThrottledError",
        ),
        (
            "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML "
            "instance type.",
            "CapacityError",
        ),
        (
            "CapacityError: Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity "
            "error. Please retry using a different ML instance type or after some time.",
            "CapacityError",
        ),
        ("InternalServerError: We encountered an internal error. Please try again.", "ServiceFaultError"),
        ("InternalServerError: We encountered an internal error.  Please try again.", "ServiceFaultError"),
        (
            "Training job interrupted because the managed spot training instances were reclaimed",
            "SpotInterruptedError",
        ),
        ("ClientError: Cannot pull algorithm container: image not found", "JobFailedError"),
        (
            "ClientError: Failed to invoke sagemaker:CreateTrainingJob: not authorized to perform "
            "ecr:BatchGetImage",
            "AccessDeniedError",
        ),
        ("ClientError: s3://spotify/train has no objects", "JobFailedError"),
        # Processing
        ("AlgorithmError: See job logs for more information", "JobFailedError"),
        ("ClientError: Could not assume role: AssumeRole was refused", "AccessDeniedError"),
        # Batch transform
        ("ClientError: See job logs for more information", "JobFailedError"),
        ("InternalServerError: Unable to get response from algorithm", "ServiceFaultError"),
        # Compilation
        (
            "ClientError: CompilationError: Unable to compile model for ml_inf1:', 'Please implement aten::alias",
            "JobFailedError",
        ),
        ("ClientError: InputConfiguration: Unable to load provided Keras model.", "JobFailedError"),
        ("InputConfiguration: No h5 file provided in s3://bucket/model.tar.gz", "JobFailedError"),
        ("OperatorNotImplemented: ['Gather']", "JobFailedError"),
        # Tuning
        (
            "No training job succeeded after 5 attempts. Please take a look at the training job failures to get "
            "more details.",
            "JobFailedError",
        ),
        (
            "ResourceLimitExceeded: The account-level service limit 'ml.p3.2xlarge for training job usage' is 2 "
            "Instances",
            "QuotaExceededError",
        ),
        # Endpoint
        (
            'The execution role ARN "arn:aws:iam::1:role/x" is invalid. Please ensure that the role exists and '
            'that its trust relationship policy allows the action "sts:AssumeRole" for the service principal '
            '"sagemaker.amazonaws.com".',
            "AccessDeniedError",
        ),
        (
            "Please make sure all images included in the model for the production variant AllTraffic exist, and "
            "that the execution role used to create the model has permissions to access them",
            "AccessDeniedError",
        ),
        (
            "Request to service failed. If failure persists after retry, contact customer support.",
            "ServiceFaultError",
        ),
        (
            "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error.",
            "CapacityError",
        ),
        # The local SageMaker
        ("InternalServerError: the local SageMaker ended while the job was running. ", "ServiceFaultError"),
    ],
)
def test_a_reason_decides_the_error(reason: str, error: str) -> None:
    row = of_reason(reason)
    assert (row.error.__name__ if row else "JobFailedError") == error


@pytest.mark.parametrize(
    "reason",
    [
        "The primary container for production variant AllTraffic did not pass the ping health check. Please check "
        "CloudWatch logs for this endpoint.",
        "CannotStartContainerError. Please ensure the model container for variant AllTraffic starts correctly "
        "when invoked with 'docker run <image> serve'",
    ],
)
def test_a_broken_model_is_the_rollouts_own_failure(reason: str) -> None:
    assert of_reason(reason) is None


def refusal(code: str, message: str = "", status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},  # type: ignore[typeddict-item]
        },
        "CreateTrainingJob",
    )


@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        ("ThrottlingException", "Rate exceeded", "ThrottledError"),
        ("TooManyRequestsException", "", "ThrottledError"),
        ("SlowDown", "Please reduce your request rate.", "ThrottledError"),
        (
            "ExpiredTokenException",
            "The security token included in the request is expired",
            "AccessDeniedError",
        ),
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/x is not authorized to perform: sagemaker:CreateTrainingJob",
            "AccessDeniedError",
        ),
        (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            "AccessDeniedError",
        ),
        (
            "ResourceLimitExceeded",
            QUOTA_TEXT.format(
                name="ml.m5.large for training job usage",
                quota=2,
                used=2,
                delta=1,
                ask="Please use AWS Service Quotas",
                word="quota",
            ),
            "QuotaExceededError",
        ),
        (
            "ResourceLimitExceeded",
            QUOTA_TEXT.format(
                name="ml.p2.xlarge for endpoint usage",
                quota=0,
                used=0,
                delta=1,
                ask="Please contact AWS support",
                word="limit",
            ),
            "QuotaTooSmallError",
        ),
        (
            "ResourceLimitExceeded",
            QUOTA_TEXT.format(
                name="Number of instances across all processing jobs",
                quota=4,
                used=0,
                delta=11,
                ask="Please contact AWS support",
                word="limit",
            ),
            "QuotaTooSmallError",
        ),
        ("ResourceLimitExceeded", "You have exceeded the number of training jobs", "QuotaExceededError"),
        ("CapacityError", "", "CapacityError"),
        ("ValidationException", "1 validation error detected: Value 'x'", "RequestRejectedError"),
        ("ConflictException", "There is another operation on the model package", "RequestRejectedError"),
        ("ModelError", "Received server error (500) from primary", "RequestRejectedError"),
    ],
)
def test_a_code_decides_the_error(code: str, message: str, error: str) -> None:
    assert type(as_sagemaker_error(refusal(code, message), "Training job 'x'")).__name__ == error


@pytest.mark.parametrize("tries", [1, 2, 3, 50])
def test_a_delay_doubles_to_its_bound_and_is_uneven(tries: int) -> None:
    most = min(10 * 2.0 ** (tries - 1), 60)
    drawn = {Delay(10, 60).after(tries).total_seconds() for _ in range(20)}
    assert all(most * (1 - JITTER) <= each <= most for each in drawn)
    assert len(drawn) > 1


def test_an_error_of_an_unknown_class_is_as_the_one_above_it() -> None:
    class NewError(errors.DataError):
        pass

    row = of_error(NewError("t", "c", "r"))
    assert row is not None
    assert row.error is errors.DataError
    assert of_error(ValueError()) is None
