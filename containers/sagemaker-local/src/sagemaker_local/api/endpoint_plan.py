"""From an endpoint config to the plan of a fleet: models resolved, retained properties kept."""

from __future__ import annotations

import dataclasses
from typing import Any

from sagemaker_local.api.hosting import get
from sagemaker_local.errors import ValidationException
from sagemaker_local.services import Services
from sagemaker_local.serving.container import ContainerError, resolve
from sagemaker_local.serving.fleet_plan import FleetPlan, VariantPlan


def fleet_plan(services: Services, config_name: str) -> FleetPlan:
    """The fleet of an endpoint config; the models are resolved now, so that deleting them changes nothing.

    Raises:
        ValidationException: the config or a model is not there, or a model cannot be deployed.
    """
    config = get(services, "endpoint_config", config_name).document
    variants = [_variant(services, variant, shadow=False) for variant in config["ProductionVariants"]]
    shadows = config.get("ShadowProductionVariants", [])
    variants += [_variant(services, variant, shadow=True) for variant in shadows]
    return FleetPlan.new(config_name, variants, config)


def retained(plan: FleetPlan, serving: FleetPlan, excluded: set[str]) -> FleetPlan:
    """The plan with the properties that the endpoint has now, but for the excluded ones.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_VariantProperty.html

    Args:
        plan: As the new endpoint config says.
        serving: What the endpoint has.
        excluded: VariantPropertyTypes that the new config decides.
    """
    current = {variant.name: variant for variant in serving.variants}
    variants = []
    for variant in plan.variants:
        kept: dict[str, Any] = {}
        if now_served := current.get(variant.name):
            kept = {"DesiredWeight": ("weight", now_served.weight)}
            kept |= {"DesiredInstanceCount": ("instances", now_served.instances)}
        changes = dict(pair for name, pair in kept.items() if name not in excluded)
        variants.append(dataclasses.replace(variant, **changes))
    capture = plan.data_capture if "DataCaptureConfig" in excluded else serving.data_capture
    return dataclasses.replace(plan, variants=variants, data_capture=capture)


def _variant(services: Services, variant: dict[str, Any], *, shadow: bool) -> VariantPlan:
    model = get(services, "model", variant["ModelName"])
    try:
        container = resolve(services.store, model)
    except ContainerError as error:
        raise ValidationException(str(error)) from error
    return VariantPlan(
        name=variant["VariantName"],
        weight=float(variant["InitialVariantWeight"]),
        instances=int(variant.get("InitialInstanceCount", 1)),  # a serverless variant has none
        container=container,
        start_timeout_s=variant.get("ContainerStartupHealthCheckTimeoutInSeconds"),
        instance_type=variant.get("InstanceType"),
        serverless=variant.get("ServerlessConfig"),
        shadow=shadow,
    )
