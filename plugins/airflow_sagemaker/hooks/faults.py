"""AWS's error codes as this plugin's errors, by table.

Codes are those that SageMaker, S3, STS and CloudWatch Logs answer with; botocore lists the throttling
ones in ``botocore/retries/standard.py`` (``_THROTTLED_ERROR_CODES``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
)
from botocore.exceptions import (
    ConnectionError as BotocoreConnectionError,
)

from airflow_sagemaker.errors import (
    AccessDeniedError,
    CapacityError,
    ConnectionSettingsError,
    QuotaExceededError,
    RequestRejectedError,
    SageMakerError,
    ThrottledError,
    UnreachableError,
)

THROTTLED_CODES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "RequestThrottled",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "SlowDown",
        "EC2ThrottledException",
        "ProvisionedThroughputExceededException",
    }
)
DENIED_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
QUOTA_CODES = frozenset({"ResourceLimitExceeded", "ServiceQuotaExceededException"})
CAPACITY_CODES = frozenset({"CapacityError", "InsufficientCapacityException", "InsufficientInstanceCapacity"})
MISSING_CODES = frozenset(
    {"ResourceNotFound", "ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", "404"}
)
MISSING_WORDS = ("could not find", "does not exist", "not found")
"""SageMaker's describe calls answer an unknown name with a bare ValidationException."""
TAKEN_WORDS = ("already exist", "cannot create already existing")
ENDED_WORDS = ("current state", "unable to transition", "already", "terminal", "finished", "status")
"""A Stop call on a job that has ended is answered with a ValidationException in such words."""
FAULTY_STATUS = 500

REMEDIES: Mapping[type[SageMakerError], str] = {
    ThrottledError: "Try again later, or lower how many tasks call AWS at once",
    AccessDeniedError: "Check the connection's credentials, their expiry, and the policies of user and role",
    QuotaExceededError: "Wait for other jobs to end, or ask AWS for a higher quota",
    CapacityError: "Try again later, or choose another instance type or zone",
    UnreachableError: "Check that the endpoint of the connection is up; the next try finds its job again",
    RequestRejectedError: "Correct the spec of the task; another try with the same spec will not do",
}


def code_of(error: ClientError) -> str:
    """AWS's code of an error, such as ``ResourceInUse``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """AWS's text of an error."""
    return str(error.response.get("Error", {}).get("Message", ""))


def is_missing(error: ClientError) -> bool:
    """Whether the answer says that the thing asked for does not exist."""
    if code_of(error) in MISSING_CODES:
        return True
    words = message_of(error).lower()
    return code_of(error) == "ValidationException" and any(word in words for word in MISSING_WORDS)


def is_taken(error: ClientError) -> bool:
    """Whether the answer says that the name asked for is in use."""
    if code_of(error) in {"ResourceInUse", "ConflictException"}:
        return True
    words = message_of(error).lower()
    return code_of(error) == "ValidationException" and any(word in words for word in TAKEN_WORDS)


def has_ended(error: ClientError) -> bool:
    """Whether a Stop call was refused because there is nothing left to stop."""
    words = message_of(error).lower()
    return code_of(error) == "ValidationException" and any(word in words for word in ENDED_WORDS)


def _class_of(error: ClientError) -> type[SageMakerError]:
    code = code_of(error)
    if code in THROTTLED_CODES:
        return ThrottledError
    if code in DENIED_CODES:
        return AccessDeniedError
    if code in QUOTA_CODES:
        return QuotaExceededError
    if code in CAPACITY_CODES:
        return CapacityError
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
    return UnreachableError if status >= FAULTY_STATUS else RequestRejectedError


def as_sagemaker_error(error: ClientError | BotoCoreError, thing: str) -> SageMakerError:
    """The plugin's error for botocore's, about ``thing``."""
    if isinstance(error, ClientError):
        kind = _class_of(error)
        return kind(thing, f"AWS answers {code_of(error)}: {message_of(error)}", REMEDIES[kind])
    if isinstance(error, ParamValidationError):
        return RequestRejectedError(thing, str(error), REMEDIES[RequestRejectedError])
    if isinstance(error, NoCredentialsError):
        return AccessDeniedError(thing, str(error), REMEDIES[AccessDeniedError])
    if isinstance(error, BotocoreConnectionError | HTTPClientError | IncompleteReadError):
        return UnreachableError(thing, str(error), REMEDIES[UnreachableError])
    if isinstance(error, NoRegionError):
        return ConnectionSettingsError(thing, str(error), "Set region_name in the connection's extra")
    return RequestRejectedError(thing, str(error), REMEDIES[RequestRejectedError])


@contextmanager
def translated(thing: str) -> Iterator[None]:
    """Botocore's errors inside become this plugin's."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise as_sagemaker_error(error, thing) from error


def if_found(thing: str, call: Callable[..., Any], **request: Any) -> dict[str, Any] | None:
    """The answer of a describe call, or None where there is no such thing."""
    with translated(thing):
        try:
            answer: dict[str, Any] = call(**request)
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        return answer
