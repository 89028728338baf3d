"""ARNs and the clock: how resources are named and when things happened."""

from __future__ import annotations

import secrets
import time

from sagemaker_local.settings import Settings

# The resource part of each kind's ARN.
# Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
ARN_RESOURCES = {
    "processing_job": "processing-job",
    "training_job": "training-job",
    "compilation_job": "compilation-job",
    "transform_job": "transform-job",
    "hyper_parameter_tuning_job": "hyper-parameter-tuning-job",
    "pipeline": "pipeline",
    "experiment": "experiment",
    "trial": "experiment-trial",
    "trial_component": "experiment-trial-component",
    "auto_ml_job": "automl-job",
    "image": "image",
    "notebook_instance": "notebook-instance",
    "model": "model",
    "endpoint_config": "endpoint-config",
    "endpoint": "endpoint",
    "model_package_group": "model-package-group",
    "model_package": "model-package",
}


def arn(settings: Settings, kind: str, name: str) -> str:
    """The ARN of a SageMaker resource; names are lower-cased in it, as AWS does."""
    return f"arn:aws:sagemaker:{settings.region}:{settings.account}:{ARN_RESOURCES[kind]}/{name.lower()}"


def now() -> float:
    """Seconds since the epoch, to the millisecond: the JSON protocol's timestamp."""
    return round(time.time(), 3)


def instance_id() -> str:
    """An identifier shaped like the one in an endpoint's log stream names."""
    return f"i-{secrets.token_hex(8)}{secrets.token_hex(1)[0]}"
