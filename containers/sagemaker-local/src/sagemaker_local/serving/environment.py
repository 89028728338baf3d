"""What every serving container finds in its environment, beside its own variables."""

from __future__ import annotations

from sagemaker_local.settings import Settings


def serving_environment(settings: Settings) -> dict[str, str]:
    """The variables that SageMaker sets, and the way back to this server for AWS clients.

    The credentials are made up: the server takes any.
    """
    return {
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "SAGEMAKER_REGION": settings.region,
        "AWS_ENDPOINT_URL": settings.url,
        "AWS_ACCESS_KEY_ID": "sagemaker-local",
        "AWS_SECRET_ACCESS_KEY": "sagemaker-local",
    }
