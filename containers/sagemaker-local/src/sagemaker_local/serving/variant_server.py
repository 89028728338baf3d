"""Which kind of server an instance of a variant is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sagemaker_local.executors.base import Executor, LineSink
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.model_server import ModelServer

if TYPE_CHECKING:
    from sagemaker_local.serving.fleet_plan import VariantPlan


def variant_server(
    variant: VariantPlan,
    directory: Path,
    *,
    environment: Mapping[str, str],
    executor: Executor,
    objects: ObjectStore,
    log: LineSink,
    start_timeout_s: float,
) -> ModelServer:
    """An instance of a variant, not yet started."""
    return ModelServer(
        variant.container,
        directory,
        environment=environment,
        executor=executor,
        objects=objects,
        log=log,
        start_timeout_s=start_timeout_s,
    )
