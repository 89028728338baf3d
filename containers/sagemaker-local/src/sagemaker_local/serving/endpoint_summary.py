"""What DescribeEndpoint tells of fleets: pure functions from plans and counts to AWS's fields.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.names import now
from sagemaker_local.serving.fleet_plan import FleetPlan, VariantPlan
from sagemaker_local.serving.variant_settings import described_serverless, described_settings


def serving(plan: FleetPlan) -> dict[str, Any]:
    """The fields that tell what serves, once it does; None for a field that goes."""
    return {
        "EndpointConfigName": plan.config_name,
        **described_settings(plan),
        **variants(plan, plan.counts),
    }


def variants(
    plan: FleetPlan, counts: Mapping[str, int], statuses: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """ProductionVariants and ShadowProductionVariants with so many instances each.

    Args:
        plan: What is desired.
        counts: Instances that are there, by variant.
        statuses: VariantStatus of the variants that something is done to.
    """
    summaries = {
        variant.name: {
            "VariantName": variant.name,
            "DeployedImages": _images(variant),
            "CurrentWeight": variant.weight,
            "DesiredWeight": variant.weight,
            "CurrentInstanceCount": counts.get(variant.name, 0),
            "DesiredInstanceCount": variant.instances,
            **described_serverless(variant),
            **_status(variant, statuses),
        }
        for variant in plan.variants
    }
    return _by_kind(plan, summaries)


def pending(
    plan: FleetPlan,
    *,
    started_at: float,
    counts: Mapping[str, int] | None = None,
    statuses: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """PendingDeploymentSummary of the fleet that an update brings up."""
    there = counts or {}
    summaries = {}
    for variant in plan.variants:
        summary: dict[str, Any] = {
            "VariantName": variant.name,
            "DeployedImages": _images(variant),
            "CurrentWeight": variant.weight if there.get(variant.name) else 0.0,
            "DesiredWeight": variant.weight,
            "CurrentInstanceCount": there.get(variant.name, 0),
            "DesiredInstanceCount": variant.instances,
            **described_serverless(variant),
            **_status(variant, statuses),
        }
        if variant.instance_type:
            summary["InstanceType"] = variant.instance_type
        summaries[variant.name] = summary
    kinds = {kind: found for kind, found in _by_kind(plan, summaries).items() if found}
    return {"EndpointConfigName": plan.config_name, "StartTime": started_at, **kinds}


def status(name: str, message: str = "") -> dict[str, Any]:
    """One entry of VariantStatus: Creating, Updating, Deleting, ActivatingTraffic or Baking."""
    return {"Status": name, "StartTime": now(), **({"StatusMessage": message[:1024]} if message else {})}


def _images(variant: VariantPlan) -> list[dict[str, Any]]:
    image = variant.container.image
    return [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": now()}]


def _status(variant: VariantPlan, statuses: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    found = (statuses or {}).get(variant.name)
    return {"VariantStatus": [found]} if found else {}


def _by_kind(plan: FleetPlan, summaries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    shadows = [summaries[variant.name] for variant in plan.variants if variant.shadow]
    return {
        "ProductionVariants": [summaries[each.name] for each in plan.variants if not each.shadow],
        "ShadowProductionVariants": shadows or None,
    }
