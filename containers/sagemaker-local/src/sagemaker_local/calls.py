"""Operations called by the server itself, as its own client: the same checks, the same handlers, no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sagemaker_local.protocol import service_model
from sagemaker_local.validation import validate

if TYPE_CHECKING:
    from sagemaker_local.services import Services


async def call(services: Services, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """Do what a client's request of a SageMaker operation would do.

    Args:
        services: The server's parts.
        operation: For example ``CreateTrainingJob``.
        request: Its parameters.

    Raises:
        AwsError: what a client would be answered.
    """
    from sagemaker_local.app import (
        SAGEMAKER,
    )  # the table of all operations, which begins with this one's caller

    validate(service_model("sagemaker").operation_model(operation).input_shape, request)
    return await SAGEMAKER[operation](services, request)
