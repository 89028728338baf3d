"""Which kind of server an instance of a variant is."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sagemaker_local.executors.base import Executor, Limits, LineSink
from sagemaker_local.instances import allot, instance_type
from sagemaker_local.limits import MIB
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.container_group import ContainerGroup
from sagemaker_local.serving.model_server import ModelServer
from sagemaker_local.serving.multi_model import MultiModelServer
from sagemaker_local.serving.serverless import ServerlessServer

if TYPE_CHECKING:
    from sagemaker_local.serving.fleet_plan import VariantPlan

DEFAULT_TYPE = "ml.m5.large"
"""For plans that were stored before they had an instance type."""


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
    """An instance of a variant, not yet started; held to what its instance type has."""
    new = functools.partial(
        ModelServer,
        variant.container,
        directory,
        environment=environment,
        executor=executor,
        objects=objects,
        log=log,
        start_timeout_s=start_timeout_s,
    )
    if variant.serverless is not None:
        server: ModelServer = ServerlessServer(
            *new.args,
            **new.keywords,
            max_concurrency=variant.serverless["MaxConcurrency"],
            provisioned="ProvisionedConcurrency" in variant.serverless,
        )
        server.limits = Limits(memory_bytes=variant.serverless["MemorySizeInMB"] * MIB)
        return server
    if variant.container.others:
        server = ContainerGroup(*new.args, **new.keywords)
    elif variant.container.multi_model:
        memory_bytes = instance_type(variant.instance_type or DEFAULT_TYPE).memory_bytes
        server = MultiModelServer(*new.args, **new.keywords, memory_bytes=memory_bytes)
    else:
        server = new()
    allotment = allot(variant.instance_type)
    server.limits = allotment.limits
    if allotment.notice is not None:
        log(allotment.notice)
    return server
