"""Endpoints: create, update without losing a request, delete."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.hosting import get, insert, refuse
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ValidationException
from sagemaker_local.names import arn, now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.serving.container import ContainerError, resolve
from sagemaker_local.serving.fleet_plan import FleetPlan, VariantPlan
from sagemaker_local.serving.supervisor import IN_PROGRESS
from sagemaker_local.store import Record

SUMMARY_FIELDS = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")


async def create_endpoint(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateEndpoint: the models are resolved now, so that deleting them later changes nothing, as on AWS."""
    name, config_name = request["EndpointName"], request["EndpointConfigName"]
    deployment(request)
    config = get(services, "endpoint_config", config_name).document
    plan = FleetPlan.new(config_name, _variants(services, config_name), config)
    at = now()
    record = Record(
        "endpoint",
        name,
        arn(services.settings, "endpoint", name),
        {
            "EndpointName": name,
            "EndpointArn": arn(services.settings, "endpoint", name),
            "EndpointConfigName": config_name,
            "EndpointStatus": "Creating",
            "CreationTime": at,
            "LastModifiedTime": at,
        },
        {"fleet": plan.to_json()},
    )
    insert(services, record, request)
    services.endpoints.create(name)
    return {"EndpointArn": record.arn}


async def describe_endpoint(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeEndpoint."""
    return get(services, "endpoint", request["EndpointName"]).document


async def list_endpoints(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListEndpoints."""
    return list_page(
        services.store.list("endpoint"),
        request,
        name_field="EndpointName",
        status_field="EndpointStatus",
        summary=lambda record: {field: record.document[field] for field in SUMMARY_FIELDS},
        summaries_field="Endpoints",
    )


async def update_endpoint(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateEndpoint: a new fleet of the config given; the old one stays if it does not come up."""
    name, config_name = request["EndpointName"], request["EndpointConfigName"]
    endpoint = get(services, "endpoint", name)
    wanted = deployment(request)
    variants = _variants(services, config_name)
    if request.get("RetainAllVariantProperties"):
        excluded = request.get("ExcludeRetainedVariantProperties", [])
        variants = _retained(endpoint, variants, {each["VariantPropertyType"] for each in excluded})
    plan = FleetPlan.new(config_name, variants, get(services, "endpoint_config", config_name).document)

    def change(record: Record) -> None:
        _require_settled(record)
        if record.document["EndpointStatus"] == "Failed":
            raise ValidationException(
                f'Cannot update failed endpoint "{record.arn}". '
                "DeleteEndpoint is the only operation that can be performed on a failed endpoint."
            )
        record.document |= {
            "EndpointStatus": "Updating",
            "LastModifiedTime": now(),
            "PendingDeploymentSummary": {
                "EndpointConfigName": config_name,
                "StartTime": now(),
                "ProductionVariants": [
                    {
                        "VariantName": variant.name,
                        "DesiredWeight": variant.weight,
                        "DesiredInstanceCount": variant.instances,
                        "VariantStatus": [{"Status": "Creating", "StartTime": now()}],
                    }
                    for variant in variants
                ],
            },
        }
        record.document.pop("FailureReason", None)
        if wanted:
            record.document["LastDeploymentConfig"] = wanted
        policy = wanted.get("BlueGreenUpdatePolicy", {})
        record.private |= {
            "pending": plan.to_json(),
            "termination_wait_s": policy.get("TerminationWaitInSeconds", 0),
        }

    services.store.update("endpoint", name, change)
    services.endpoints.update(name)
    return {"EndpointArn": endpoint.arn}


async def update_endpoint_weights_and_capacities(
    services: Services, request: dict[str, Any]
) -> dict[str, Any]:
    """UpdateEndpointWeightsAndCapacities: the same fleet with other shares and other numbers of instances."""
    name = request["EndpointName"]
    endpoint = get(services, "endpoint", name)
    wanted: dict[str, tuple[float | None, int | None]] = {}
    for position, each in enumerate(request["DesiredWeightsAndCapacities"], start=1):
        variant, weight, count = (
            each["VariantName"],
            each.get("DesiredWeight"),
            each.get("DesiredInstanceCount"),
        )
        if variant in wanted:
            raise ValidationException(f'The variant name "{variant}" was non-unique within the request.')
        refuse(each, ("ServerlessUpdateConfig",), f"variant {variant}")
        if count == 0 and "AsyncInferenceConfig" not in endpoint.document:
            raise ValidationException(
                f"1 validation error detected: Value '0' at 'desiredWeightsAndCapacities.{position}.member."
                "desiredInstanceCount' failed to satisfy constraint: Member must have value greater than or "
                "equal to 1"
            )
        wanted[variant] = (None if weight is None else float(weight), None if count is None else int(count))
    services.endpoints.set_capacities(name, wanted)
    return {"EndpointArn": endpoint.arn}


async def delete_endpoint(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteEndpoint: requests under way are still answered."""
    name = request["EndpointName"]
    get(services, "endpoint", name)

    def change(record: Record) -> None:
        _require_settled(record)
        record.document |= {"EndpointStatus": "Deleting", "LastModifiedTime": now()}

    services.store.update("endpoint", name, change)
    services.endpoints.delete(name)
    return {}


def deployment(request: dict[str, Any]) -> dict[str, Any]:
    """The request's DeploymentConfig.

    Raises:
        ValidationException: it asks for what would silently not happen here.
    """
    config: dict[str, Any] = request.get("DeploymentConfig", {})
    routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {}).get("Type")
    if routing not in (None, "ALL_AT_ONCE"):
        raise ValidationException(
            "The local SageMaker shifts traffic ALL_AT_ONCE; "
            f"TrafficRoutingConfiguration Type {routing} is not served"
        )
    if "RollingUpdatePolicy" in config or config.get("AutoRollbackConfiguration", {}).get("Alarms"):
        raise ValidationException(
            "The local SageMaker serves neither RollingUpdatePolicy nor alarms of AutoRollbackConfiguration"
        )
    return config


def _require_settled(record: Record) -> None:
    if record.document["EndpointStatus"] in IN_PROGRESS:
        # AWS says "update" for DeleteEndpoint too.
        raise ValidationException(f'Cannot update in-progress endpoint "{record.arn}".')


def _variants(services: Services, config_name: str) -> list[VariantPlan]:
    config = get(services, "endpoint_config", config_name)
    plans = []
    for variant in config.document["ProductionVariants"]:
        model = get(services, "model", variant["ModelName"])
        try:
            container = resolve(services.store, model)
        except ContainerError as error:
            raise ValidationException(str(error)) from error
        plans.append(
            VariantPlan(
                name=variant["VariantName"],
                weight=float(variant["InitialVariantWeight"]),
                instances=int(variant.get("InitialInstanceCount", 1)),  # a serverless variant has none
                container=container,
                start_timeout_s=variant.get("ContainerStartupHealthCheckTimeoutInSeconds"),
                instance_type=variant.get("InstanceType"),
                serverless=variant.get("ServerlessConfig"),
            )
        )
    return plans


def _retained(endpoint: Record, variants: list[VariantPlan], excluded: set[str]) -> list[VariantPlan]:
    """The variants with the weights and instance counts that the endpoint has now."""
    current = {plan["name"]: plan for plan in endpoint.private["fleet"]["variants"]}
    retained = []
    for variant in variants:
        now_served = current.get(variant.name, {})
        weight = variant.weight if "DesiredWeight" in excluded else now_served.get("weight", variant.weight)
        instances = variant.instances
        if "DesiredInstanceCount" not in excluded:
            instances = now_served.get("instances", instances)
        retained.append(dataclasses.replace(variant, weight=weight, instances=instances))
    return retained


OPERATIONS: Mapping[str, Handler] = {
    "CreateEndpoint": create_endpoint,
    "DescribeEndpoint": describe_endpoint,
    "ListEndpoints": list_endpoints,
    "UpdateEndpoint": update_endpoint,
    "UpdateEndpointWeightsAndCapacities": update_endpoint_weights_and_capacities,
    "DeleteEndpoint": delete_endpoint,
}
