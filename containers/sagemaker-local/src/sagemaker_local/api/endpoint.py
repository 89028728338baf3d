"""Endpoints: create, update without losing a request, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local import quotas
from sagemaker_local.api.endpoint_plan import fleet_plan, retained
from sagemaker_local.api.hosting import get, insert, refuse
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ValidationException
from sagemaker_local.names import arn, now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.serving import deployment_rules, endpoint_summary
from sagemaker_local.serving.endpoint_update import begun
from sagemaker_local.serving.fleet_plan import FleetPlan
from sagemaker_local.serving.supervisor import require_settled
from sagemaker_local.store import Record

SUMMARY_FIELDS = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")


async def create_endpoint(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateEndpoint; its DeploymentConfig is for later updates that retain it."""
    name = request["EndpointName"]
    config = request.get("DeploymentConfig", {})
    deployment_rules.check_shape(config)
    deployment_rules.check_alarms(config, services.alarms.state)
    plan = fleet_plan(services, request["EndpointConfigName"])
    quotas.require_endpoint(services, name, plan.to_json()["variants"])
    at = now()
    record = Record(
        "endpoint",
        name,
        arn(services.settings, "endpoint", name),
        {
            "EndpointName": name,
            "EndpointArn": arn(services.settings, "endpoint", name),
            "EndpointConfigName": plan.config_name,
            "EndpointStatus": "Creating",
            "CreationTime": at,
            "LastModifiedTime": at,
            "PendingDeploymentSummary": _pending(plan),
            **({"LastDeploymentConfig": config} if config else {}),
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
    """UpdateEndpoint: a new fleet, by the DeploymentConfig; the old one stays if that fails."""
    name = request["EndpointName"]
    endpoint = get(services, "endpoint", name)
    plan = fleet_plan(services, request["EndpointConfigName"])
    serving = FleetPlan.from_json(endpoint.private["fleet"])
    if request.get("RetainAllVariantProperties"):
        excluded = request.get("ExcludeRetainedVariantProperties", [])
        plan = retained(plan, serving, {each["VariantPropertyType"] for each in excluded})
    config = _deployment_config(request, endpoint)
    deployment_rules.check(config, old=serving, new=plan)
    deployment_rules.check_alarms(config, services.alarms.state)

    def change(record: Record) -> None:
        require_settled(record)
        if record.document["EndpointStatus"] == "Failed":
            raise ValidationException(
                f'Cannot update failed endpoint "{record.arn}". '
                "DeleteEndpoint is the only operation that can be performed on a failed endpoint."
            )
        record.document |= {
            "EndpointStatus": "Updating",
            "LastModifiedTime": now(),
            "PendingDeploymentSummary": _pending(plan),
        }
        record.document.pop("FailureReason", None)
        if config:
            record.document["LastDeploymentConfig"] = config
        record.private |= {"pending": plan.to_json(), "deployment": begun(config)}

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
        require_settled(record)
        record.document |= {"EndpointStatus": "Deleting", "LastModifiedTime": now()}

    services.store.update("endpoint", name, change)
    services.endpoints.delete(name)
    return {}


def _deployment_config(request: dict[str, Any], endpoint: Record) -> dict[str, Any]:
    given: dict[str, Any] = request.get("DeploymentConfig", {})
    if not request.get("RetainDeploymentConfig"):
        return given
    if given:
        raise ValidationException("DeploymentConfig cannot be specified when RetainDeploymentConfig is true.")
    last: dict[str, Any] = endpoint.document.get("LastDeploymentConfig", {})
    return last


def _pending(plan: FleetPlan) -> dict[str, Any]:
    creating = endpoint_summary.status("Creating")
    return endpoint_summary.pending(plan, started_at=now(), statuses=dict.fromkeys(plan.counts, creating))


OPERATIONS: Mapping[str, Handler] = {
    "CreateEndpoint": create_endpoint,
    "DescribeEndpoint": describe_endpoint,
    "ListEndpoints": list_endpoints,
    "UpdateEndpoint": update_endpoint,
    "UpdateEndpointWeightsAndCapacities": update_endpoint_weights_and_capacities,
    "DeleteEndpoint": delete_endpoint,
}
