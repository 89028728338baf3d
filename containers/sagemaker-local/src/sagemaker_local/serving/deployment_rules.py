"""Which DeploymentConfigs AWS takes.

Sources: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeploymentConfig.html, the types
it refers to, and https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sagemaker_local.errors import ValidationException
from sagemaker_local.serving.deployment import alarms_of, deployment
from sagemaker_local.serving.fleet_plan import FleetPlan

SIZE_OF_TYPE = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}
"""The size that each type of traffic routing takes; ALL_AT_ONCE takes none."""

BOUNDS_PERCENT = {
    "CanarySize": (1, 50),
    "LinearStepSize": (10, 50),
    "MaximumBatchSize": (5, 50),
    "RollbackMaximumBatchSize": (1, 100),
}
"""Of a variant's total instance count."""

NO_GUARDRAILS_FAMILIES = ("ml.inf1.",)
"""Instance types whose endpoints are always updated all at once, without a baking period."""


def check(config: Mapping[str, Any], *, old: FleetPlan, new: FleetPlan) -> None:
    """Refuse a DeploymentConfig that AWS refuses for these two fleets.

    Raises:
        ValidationException: it breaks a rule; names the field and the limit.
    """
    check_shape(config)
    if is_guarded(config):
        for broken in _fleet_rules(config, old, new):
            raise ValidationException(broken)


def check_shape(config: Mapping[str, Any]) -> None:
    """Refuse what cannot be right whatever the fleets are.

    Raises:
        ValidationException: it breaks a rule; names the field.
    """
    for broken in _shape_rules(config):
        raise ValidationException(broken)


def check_alarms(config: Mapping[str, Any], state: Callable[[str], str]) -> None:
    """Refuse alarms that there are none of.

    Args:
        config: A DeploymentConfig.
        state: An alarm's state by its name; raises KeyError when there is no such alarm.

    Raises:
        ValidationException: names the alarms.
    """
    missing = []
    for alarm in alarms_of(config):
        try:
            state(alarm["AlarmName"])
        except KeyError:
            missing.append(alarm["AlarmName"])
    if missing:
        raise ValidationException(
            "The following CloudWatch alarms of AutoRollbackConfiguration do not exist: "
            f"{', '.join(missing)}. Create them with PutMetricAlarm first."
        )


def effective(config: Mapping[str, Any], new: FleetPlan) -> Mapping[str, Any]:
    """The config that is followed: AWS updates some endpoints all at once whatever they ask for."""
    families = tuple(variant.instance_type or "" for variant in new.variants)
    return {} if any(name.startswith(NO_GUARDRAILS_FAMILIES) for name in families) else config


def is_guarded(config: Mapping[str, Any]) -> bool:
    """Whether traffic shifts in more than one step."""
    routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    return "RollingUpdatePolicy" in config or routing.get("Type") in SIZE_OF_TYPE


def _shape_rules(config: Mapping[str, Any]) -> Iterator[str]:
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green and rolling:
        yield (
            "Only one update policy can be used in DeploymentConfig: BlueGreenUpdatePolicy or "
            "RollingUpdatePolicy, not both."
        )
    if blue_green:
        routing = blue_green["TrafficRoutingConfiguration"]
        kind, wanted = routing["Type"], SIZE_OF_TYPE.get(routing["Type"])
        if wanted and wanted not in routing:
            yield f"{wanted} is required when TrafficRoutingConfiguration Type is {kind}."
        for field in SIZE_OF_TYPE.values():
            if field != wanted and field in routing:
                yield f"{field} cannot be specified when TrafficRoutingConfiguration Type is {kind}."
    names = [alarm["AlarmName"] for alarm in alarms_of(config)]
    if len(set(names)) != len(names):
        yield "Duplicate alarm names are not allowed in AutoRollbackConfiguration."


def _fleet_rules(config: Mapping[str, Any], old: FleetPlan, new: FleetPlan) -> Iterator[str]:
    if _names(old) != _names(new):
        yield (
            "The variant names of the new endpoint config must be those of the old one for this deployment "
            f"policy: it has {_names(new)}, the endpoint has {_names(old)}."
        )
    if "RollingUpdatePolicy" in config:
        if len(_names(new)) > 1:
            yield "RollingUpdatePolicy is not supported for multi-variant endpoints."
        if any(variant.serverless for variant in new.variants):
            yield "RollingUpdatePolicy is not supported for serverless endpoints."
    for field, size in _sizes(config):
        for name, count in new.serving_counts.items():
            yield from _size_rules(field, size, name, count)
    plan = deployment(config, old=old.serving_counts, new=new.serving_counts)
    if plan.timeout_s is not None and plan.timeout_s <= plan.waits_s:
        yield (
            f"MaximumExecutionTimeoutInSeconds ({plan.timeout_s:g}) must be larger than the total waiting "
            f"time of TerminationWaitInSeconds and WaitIntervalInSeconds ({plan.waits_s:g})."
        )


def _sizes(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for policy in (
        config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {}),
        config.get("RollingUpdatePolicy", {}),
    ):
        yield from ((field, policy[field]) for field in BOUNDS_PERCENT if field in policy)


def _size_rules(field: str, size: Mapping[str, Any], variant: str, count: int) -> Iterator[str]:
    least, most = BOUNDS_PERCENT[field]
    value = size["Value"]
    if size["Type"] == "CAPACITY_PERCENT":
        if not least <= value <= most:
            yield f"{field} Value {value} is invalid: it must be between {least} and {most} percent."
    elif not least * count <= value * 100 <= most * count:
        yield (
            f"{field} Value {value} is invalid: it must be between {least} and {most} percent of the total "
            f"instance count of variant {variant}, which is {count}."
        )


def _names(plan: FleetPlan) -> Sequence[str]:
    return sorted(variant.name for variant in plan.variants if not variant.shadow)
