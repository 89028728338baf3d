"""How the SageMaker runtime says no.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors
"""

from __future__ import annotations

from typing import Any

from sagemaker_local.errors import AwsError


class ValidationError(AwsError):
    """The runtime's name for a bad request."""

    code = "ValidationError"


class ServiceUnavailable(AwsError):
    """No container can take the request now; clients try again."""

    code = "ServiceUnavailable"
    status_code = 503


class LostRequest(AwsError):
    """The container went away with the request; clients try again."""

    code = "InternalFailure"
    status_code = 500


class ModelNotReady(AwsError):
    """A model is still being loaded, or a serverless variant is still starting; clients try again."""

    code = "ModelNotReadyException"
    status_code = 429


class Throttled(AwsError):
    """A serverless variant has as many requests under way as it may have; clients try again."""

    code = "ThrottlingException"
    status_code = 429


class ModelError(AwsError):
    """The container answered with an error, or not in time.

    Args:
        message: What the caller reads.
        fields: ``OriginalStatusCode``, ``OriginalMessage`` and ``LogStreamArn``.
    """

    code = "ModelError"
    status_code = 424

    def __init__(self, message: str, fields: dict[str, Any]) -> None:
        super().__init__(message)
        self.fields = fields
