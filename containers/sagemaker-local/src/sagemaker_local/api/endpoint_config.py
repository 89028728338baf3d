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

UNSERVED = ("ExplainerConfig",)
UNSERVED_OF_VARIANT = (
    "InstancePools",
    "ManagedInstanceScaling",
    "CapacityReservationConfig",
    "CoreDumpConfig",
)
UNSUPPORTED = "One or more endpoint features are not supported using this configuration:"


async def create_endpoint_config(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateEndpointConfig: every model must exist."""
    name = request["EndpointConfigName"]
    refuse(request, UNSERVED, "an endpoint config")
    variants = [_variant(services, variant) for variant in request["ProductionVariants"]]
    shadows = [_variant(services, variant) for variant in request.get("ShadowProductionVariants", [])]
    names = [variant["VariantName"] for variant in (*variants, *shadows)]
    if len(set(names)) != len(names):
        raise ValidationException(f"Duplicate variant names in ProductionVariants: {', '.join(names)}.")
    if not any(variant["InitialVariantWeight"] for variant in variants):
        raise ValidationException("At least one InitialVariantWeight of ProductionVariants must be above 0.")
    _check_combination(services, request, variants)
    if shadows:
        _check_shadows(request, variants, shadows)
    kept = {key: value for key, value in request.items() if key != "Tags"}
    record = Record("endpoint_config", name, arn(services.settings, "endpoint_config", name), {})
    record.document = only_set(
        {**kept, "EndpointConfigArn": record.arn, "ProductionVariants": variants, "CreationTime": now()}
        | ({"ShadowProductionVariants": shadows} if shadows else {})
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
    serverless = variant.get("ServerlessConfig")
    for field in ("ModelName",) if serverless else ("ModelName", "InitialInstanceCount", "InstanceType"):
        if field not in variant:
            raise ValidationException(f"{field} is required for production variant {name}.")
    if serverless:
        _check_serverless(name, variant, serverless)
    get(services, "model", variant["ModelName"])
    return {"InitialVariantWeight": 1.0, **variant}


def _check_serverless(name: str, variant: dict[str, Any], serverless: dict[str, Any]) -> None:
    for field in ("InstanceType", "InitialInstanceCount", "AcceleratorType", "VolumeSizeInGB"):
        if field in variant:
            raise ValidationException(f"{field} cannot be given with ServerlessConfig of variant {name}.")
    if serverless["MemorySizeInMB"] % 1024:
        raise ValidationException(
            f"MemorySizeInMB of variant {name} must be one of 1024, 2048, 3072, 4096, 5120 and 6144."
        )
    if serverless.get("ProvisionedConcurrency", 0) > serverless["MaxConcurrency"]:
        raise ValidationException(
            f"ProvisionedConcurrency of variant {name} must not be greater than its MaxConcurrency."
        )


def _check_combination(services: Services, request: dict[str, Any], variants: list[dict[str, Any]]) -> None:
    """Refuse what does not go together, as AWS does.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html#serverless-endpoints-how-it-works-exclusions
    """
    models = [get(services, "model", variant["ModelName"]).document for variant in variants]
    multi_model = any(
        container.get("Mode") == "MultiModel"
        for model in models
        for container in (model.get("PrimaryContainer"), *model.get("Containers", []))
        if container
    )
    serverless = any("ServerlessConfig" in variant for variant in variants)
    given = {
        "several ProductionVariants": len(variants) > 1,
        "DataCaptureConfig": request.get("DataCaptureConfig", {}).get("EnableCapture", False),
        "AsyncInferenceConfig": "AsyncInferenceConfig" in request,
        "a model of Mode MultiModel": multi_model,
        "a model of several containers": any(len(model.get("Containers", [])) > 1 for model in models),
        "VpcConfig of a model": any("VpcConfig" in model for model in models),
    }
    against_serverless = [what for what, is_given in given.items() if is_given]
    if serverless and against_serverless:
        raise ValidationException(f"{UNSUPPORTED} ServerlessConfig with {', '.join(against_serverless)}.")
    outputs = request.get("AsyncInferenceConfig", {}).get("OutputConfig", {})
    if "AsyncInferenceConfig" in request and "S3OutputPath" not in outputs:
        raise ValidationException("S3OutputPath is required in OutputConfig of AsyncInferenceConfig.")
    if "AsyncInferenceConfig" in request and multi_model:
        raise ValidationException(f"{UNSUPPORTED} AsyncInferenceConfig with a model of Mode MultiModel.")


def _check_shadows(
    request: dict[str, Any], variants: list[dict[str, Any]], shadows: list[dict[str, Any]]
) -> None:
    """Refuse what AWS's shadow tests do not go with.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/shadow-tests-best-practices.html
    """
    if len(variants) != 1 or len(shadows) != 1:
        raise ValidationException(
            "With ShadowProductionVariants there can be only one variant in ProductionVariants and one in "
            f"ShadowProductionVariants; there are {len(variants)} and {len(shadows)}."
        )
    given = {
        "AsyncInferenceConfig": "AsyncInferenceConfig" in request,
        "ServerlessConfig": any("ServerlessConfig" in variant for variant in (*variants, *shadows)),
    }
    if against := [what for what, is_given in given.items() if is_given]:
        raise ValidationException(f"{UNSUPPORTED} ShadowProductionVariants with {', '.join(against)}.")


OPERATIONS: Mapping[str, Handler] = {
    "CreateEndpointConfig": create_endpoint_config,
    "DescribeEndpointConfig": describe_endpoint_config,
    "ListEndpointConfigs": list_endpoint_configs,
    "DeleteEndpointConfig": delete_endpoint_config,
}
