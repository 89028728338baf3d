"""The SageMaker SDK v3, made to go where the Airflow connection says and nowhere else.

Imported inside ``execute`` only: the SDK costs two seconds of processor time. Its own traps (3.27): its
region must be known at import, its telemetry calls home unless a config file says no, and `refresh()`
ignores the session; so it creates here, and everything else asks the client.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape
from pydantic import ValidationError

if TYPE_CHECKING:
    from airflow_sagemaker.hooks.sagemaker import SageMakerHook

log = logging.getLogger(__name__)

SDK_CONFIG = Path(__file__).with_name("sdk_config.yaml")


def prepare_environment(region: str) -> None:
    """What the SDK reads from the environment at import; a choice made outside stands."""
    os.environ.setdefault("AWS_DEFAULT_REGION", region)
    os.environ.setdefault("SAGEMAKER_USER_CONFIG_OVERRIDE", str(SDK_CONFIG))
    os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")


def to_arguments(request: Any, shape: Shape) -> Any:
    """A request in the API's words as the SDK's arguments: snake case, but for the keys of maps."""
    from sagemaker.core.utils.utils import pascal_to_snake

    if isinstance(shape, StructureShape):
        return {
            pascal_to_snake(name): to_arguments(value, shape.members[name]) for name, value in request.items()
        }
    if isinstance(shape, ListShape):
        return [to_arguments(value, shape.member) for value in request]
    if isinstance(shape, MapShape):
        return {key: to_arguments(value, shape.value) for key, value in request.items()}
    return request


def create(hook: SageMakerHook, resource: str, request: Mapping[str, Any]) -> None:
    """Create a resource (``TrainingJob``, ``Model``, …) from a request in the API's words.

    The SDK describes what it has created, and fails when that fails; the thing is there nevertheless, and
    paid for: what AWS accepted counts as created.
    """
    prepare_environment(hook.region)
    from sagemaker.core import resources

    operation = f"Create{resource}"
    shape = hook.client("sagemaker").meta.service_model.operation_model(operation).input_shape
    arguments = to_arguments(request, shape)
    hook.session.accepted.clear()
    try:
        getattr(resources, resource).create(**arguments, session=hook.session, region=hook.region)
    except (BotoCoreError, ClientError, ValidationError) as error:
        if operation not in hook.session.accepted:
            raise
        log.warning("%s was accepted; describing it failed: %s", operation, error)
