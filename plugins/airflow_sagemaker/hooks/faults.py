"""AWS's answers as this plugin's errors, by the codes in :mod:`airflow_sagemaker.failures`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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
    ConnectionSettingsError,
    QuotaExceededError,
    QuotaTooSmallError,
    RequestRejectedError,
    SageMakerError,
    UnreachableError,
)
from airflow_sagemaker.failures import BY_CODE, BY_ERROR

MISSING_CODES = frozenset(
    {"ResourceNotFound", "ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", "404"}
)
MISSING_WORDS = ("could not find", "does not exist", "not found")
"""SageMaker's describe calls answer an unknown name with a bare ValidationException."""
TAKEN_WORDS = ("already exist", "cannot create already existing")
ENDED_WORDS = ("current state", "unable to transition", "already", "terminal", "finished", "status")
"""A Stop call on a job that has ended is answered with a ValidationException in such words."""
FAULTY_STATUS = 500

ROOM = re.compile(r"is (?P<quota>\d+) \w+, with .* a request delta of (?P<delta>\d+)")
"""In the text of ResourceLimitExceeded: the quota, and what the request alone adds."""


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
    row = BY_CODE.get(code_of(error))
    if row is not None:
        return QuotaTooSmallError if row.error is QuotaExceededError and _never_fits(error) else row.error
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
    return UnreachableError if status >= FAULTY_STATUS else RequestRejectedError


def _never_fits(error: ClientError) -> bool:
    """Whether the request alone exceeds the quota, so that waiting for others to end is in vain."""
    told = ROOM.search(message_of(error))
    return told is not None and int(told["delta"]) > int(told["quota"])


def as_sagemaker_error(error: ClientError | BotoCoreError, thing: str) -> SageMakerError:
    """The plugin's error for botocore's, about ``thing``."""
    if isinstance(error, ClientError):
        kind = _class_of(error)
        return kind(thing, f"AWS answers {code_of(error)}: {message_of(error)}", BY_ERROR[kind].remedy)
    if isinstance(error, ParamValidationError):
        return RequestRejectedError(thing, str(error), BY_ERROR[RequestRejectedError].remedy)
    if isinstance(error, NoCredentialsError):
        return AccessDeniedError(thing, str(error), BY_ERROR[AccessDeniedError].remedy)
    if isinstance(error, BotocoreConnectionError | HTTPClientError | IncompleteReadError):
        return UnreachableError(thing, str(error), BY_ERROR[UnreachableError].remedy)
    if isinstance(error, NoRegionError):
        return ConnectionSettingsError(thing, str(error), "Set region_name in the connection's extra")
    return RequestRejectedError(thing, str(error), BY_ERROR[RequestRejectedError].remedy)


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
