"""Endpoint configs: which models an endpoint serves, on how many instances, with which share of requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.hosting import could_not_find, get, insert, only_set, refuse
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ValidationException
from sagemaker_local.names import arn, now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import NotFound, Record

UNSERVED = ("ShadowProductionVariants", "AsyncInferenceConfig", "ExplainerConfig")
UNSERVED_OF_VARIANT = (
    "ServerlessConfig",
    "InstancePools",
    "ManagedInstanceScaling",
    "CapacityReservationConfig",
    "CoreDumpConfig",
)


async def create_endpoint_config(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateEndpointConfig: every model must exist."""
    name = request["EndpointConfigName"]
    refuse(request, UNSERVED, "an endpoint config")
    if request.get("DataCaptureConfig", {}).get("EnableCapture"):
        raise ValidationException("The local SageMaker serves no DataCaptureConfig; leave EnableCapture out")
    variants = [_variant(services, variant) for variant in request["ProductionVariants"]]
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) != len(names):
        raise ValidationException(f"Duplicate variant names in ProductionVariants: {', '.join(names)}.")
    if not any(variant["InitialVariantWeight"] for variant in variants):
        raise ValidationException("At least one InitialVariantWeight of ProductionVariants must be above 0.")
    kept = {key: value for key, value in request.items() if key != "Tags"}
    record = Record("endpoint_config", name, arn(services.settings, "endpoint_config", name), {})
    record.document = only_set(
        {**kept, "EndpointConfigArn": record.arn, "ProductionVariants": variants, "CreationTime": now()}
    )
    insert(services, record, request)
    return {"EndpointConfigArn": record.arn}


async def describe_endpoint_config(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeEndpointConfig."""
    return get(services, "endpoint_config", request["EndpointConfigName"]).document


async def list_endpoint_configs(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListEndpointConfigs."""
    fields = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
    return list_page(
        services.store.list("endpoint_config"),
        request,
        name_field="EndpointConfigName",
        status_field=None,
        summary=lambda record: {field: record.document[field] for field in fields},
        summaries_field="EndpointConfigs",
    )


async def delete_endpoint_config(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteEndpointConfig; endpoints made from it go on, as on AWS."""
    name = request["EndpointConfigName"]
    try:
        services.store.delete("endpoint_config", name)
    except NotFound:
        raise could_not_find(services, "endpoint_config", name) from None
    return {}


def _variant(services: Services, variant: dict[str, Any]) -> dict[str, Any]:
    name = variant["VariantName"]
    refuse(variant, UNSERVED_OF_VARIANT, f"production variant {name}")
    for field in ("ModelName", "InitialInstanceCount", "InstanceType"):
        if field not in variant:
            raise ValidationException(f"{field} is required for production variant {name}.")
    get(services, "model", variant["ModelName"])
    return {"InitialVariantWeight": 1.0, **variant}


OPERATIONS: Mapping[str, Handler] = {
    "CreateEndpointConfig": create_endpoint_config,
    "DescribeEndpointConfig": describe_endpoint_config,
    "ListEndpointConfigs": list_endpoint_configs,
    "DeleteEndpointConfig": delete_endpoint_config,
}
