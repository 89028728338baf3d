"""Models: an image, its artefact and its environment, by name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.hosting import could_not_find, get, insert, only_set, refuse
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ValidationException
from sagemaker_local.names import arn, now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.serving.container import ContainerError, artefacts, resolve
from sagemaker_local.store import NotFound, Record


async def create_model(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateModel: checks, as AWS does, that the package may be deployed and that the artefact is there."""
    name = request["ModelName"]
    given = request.get("Containers") or [request.get("PrimaryContainer")]
    if "PrimaryContainer" in request and request.get("Containers"):
        raise ValidationException("Both PrimaryContainer and Containers are provided; give one of them.")
    if given[0] is None:
        raise ValidationException("Either PrimaryContainer or Containers must be provided.")
    for container in given:
        _check_container(container, alone=len(given) == 1)
    if len(given) > 1:
        _check_hostnames(request, given)
    record = Record("model", name, arn(services.settings, "model", name), {})
    record.document = only_set(
        {
            "ModelName": name,
            "ModelArn": record.arn,
            "PrimaryContainer": _described(given[0]) if "PrimaryContainer" in request else None,
            "Containers": list(map(_described, given)) if "PrimaryContainer" not in request else None,
            "InferenceExecutionConfig": request.get("InferenceExecutionConfig"),
            "ExecutionRoleArn": request.get("ExecutionRoleArn"),
            "VpcConfig": request.get("VpcConfig"),
            "CreationTime": now(),
            "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
        }
    )
    try:
        resolved = resolve(services.store, record)
    except ContainerError as error:
        raise ValidationException(str(error)) from error
    for artefact in artefacts(resolved):
        if resolved.multi_model and artefact is resolved.model:
            continue  # models may come later
        if not await asyncio.to_thread(artefact.exists, services.objects):
            raise ValidationException(f"Could not find model data at {artefact.uri}.")
    insert(services, record, request)
    return {"ModelArn": record.arn}


async def describe_model(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeModel."""
    return get(services, "model", request["ModelName"]).document


async def list_models(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListModels."""
    return list_page(
        services.store.list("model"),
        request,
        name_field="ModelName",
        status_field=None,
        summary=lambda record: {
            field: record.document[field] for field in ("ModelName", "ModelArn", "CreationTime")
        },
        summaries_field="Models",
    )


async def delete_model(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteModel; endpoints that serve it go on, as on AWS."""
    try:
        services.store.delete("model", request["ModelName"])
    except NotFound:
        raise could_not_find(services, "model", request["ModelName"]) from None
    return {}


def _check_container(container: dict[str, Any], *, alone: bool) -> None:
    multi_model = container.get("Mode") == "MultiModel"
    if multi_model and not (container.get("ModelDataUrl") or container.get("ModelDataSource")):
        raise ValidationException("ModelDataUrl is required for a container of Mode MultiModel.")
    if multi_model and not alone:
        raise ValidationException(
            "The local SageMaker serves no container of Mode MultiModel beside other containers"
        )
    if not multi_model:
        refuse(container, ("MultiModelConfig",), "a container whose Mode is not MultiModel")
    refuse(container, ("ContainerMetricsConfig",), "a container")


def _check_hostnames(request: dict[str, Any], containers: list[dict[str, Any]]) -> None:
    names = [container["ContainerHostname"] for container in containers if "ContainerHostname" in container]
    if len(set(names)) != len(names):
        raise ValidationException(f"Duplicate ContainerHostname in Containers: {', '.join(names)}.")
    direct = request.get("InferenceExecutionConfig", {}).get("Mode") == "Direct"
    if direct and len(names) != len(containers):
        raise ValidationException(
            "ContainerHostname is required for every container when InferenceExecutionConfig Mode is Direct."
        )


def _described(container: dict[str, Any]) -> dict[str, Any]:
    """A container as DescribeModel answers it."""
    return {"Mode": "SingleModel", **container} if "Image" in container else dict(container)


OPERATIONS: Mapping[str, Handler] = {
    "CreateModel": create_model,
    "DescribeModel": describe_model,
    "ListModels": list_models,
    "DeleteModel": delete_model,
}
