"""Errors as AWS puts them on the wire: a code, a message, an HTTP status.

Each protocol has its own envelope (JSON in :mod:`sagemaker_local.protocol`, XML in ``sagemaker_local.s3``);
the classes know nothing of it.
"""

from __future__ import annotations


class AwsError(Exception):
    """An answer that the caller's AWS client turns into a ``ClientError``.

    Args:
        message: What is wrong with which thing, and what to do about it.
        code: AWS's error code; subclasses carry their own.
        status_code: HTTP status; 4xx blames the caller, 5xx makes clients retry.
    """

    code = "InternalFailure"
    status_code = 400

    def __init__(self, message: str, *, code: str | None = None, status_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if status_code is not None:
            self.status_code = status_code


class ValidationException(AwsError):
    """The request breaks a constraint of the service model or names something that cannot be."""

    code = "ValidationException"


class ResourceNotFound(AwsError):
    """The resource is not there. SageMaker uses this code or ValidationException, by operation."""

    code = "ResourceNotFound"


class ResourceInUse(AwsError):
    """A resource of that name exists already, or is needed by another."""

    code = "ResourceInUse"


class ResourceLimitExceeded(AwsError):
    """The machine, or a limit in :mod:`sagemaker_local.limits`, allows no more."""

    code = "ResourceLimitExceeded"


class ConflictException(AwsError):
    """Another change to the same resource is under way."""

    code = "ConflictException"


class UnknownOperationException(AwsError):
    """The operation does not exist, or is not implemented here."""

    code = "UnknownOperationException"


class SerializationException(AwsError):
    """The body is not what the protocol says."""

    code = "SerializationException"


class InternalFailure(AwsError):
    """A defect of the local SageMaker itself."""

    status_code = 500
