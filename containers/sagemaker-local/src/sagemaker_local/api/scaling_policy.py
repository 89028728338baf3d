"""Scaling policies: step scaling and target tracking, with the alarms that the latter brings.

Source: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScalingPolicy.html
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from sagemaker_local.api.cloudwatch_alarms import alarm_arn, put_alarm
from sagemaker_local.autoscaling.resources import (
    DIMENSION,
    NAMESPACE,
    POLICY,
    TARGET,
    ObjectNotFoundException,
    Variant,
    no_target,
    policy_arn,
    variant_of,
)
from sagemaker_local.autoscaling.tracking_alarms import definitions
from sagemaker_local.cloudwatch.alarm_definition import check_metric_alarm
from sagemaker_local.cloudwatch.alarms import METRIC
from sagemaker_local.errors import AwsError, ValidationException
from sagemaker_local.names import now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import NotFound, Record

STEP, TRACKING = "StepScaling", "TargetTrackingScaling"
CONFIGURATIONS = {
    STEP: "StepScalingPolicyConfiguration",
    TRACKING: "TargetTrackingScalingPolicyConfiguration",
}
STEPS_PER_POLICY = 20
POLICIES_PER_TARGET = 50


class LimitExceededException(AwsError):
    """A target has as many policies as it may."""

    code = "LimitExceededException"


async def put_scaling_policy(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """PutScalingPolicy: a new policy, or another definition of one, which keeps its ARN."""
    variant = variant_of(request)
    try:
        services.store.get(TARGET, variant.resource_id)
    except NotFound:
        raise no_target(variant) from None
    name = f"{variant.resource_id}:{request['PolicyName']}"
    try:
        before = services.store.get(POLICY, name)
        arn = before.arn
    except NotFound:
        before = None
        arn = policy_arn(services.settings, variant, request["PolicyName"])
        _check_count(services, variant)
    type_ = request.get("PolicyType") or (before.document["PolicyType"] if before else STEP)
    if before is not None and before.document["PolicyType"] != type_:
        raise ValidationException(f"The policy {request['PolicyName']} is {before.document['PolicyType']}; "
                                  "delete it to make it another type")  # fmt: skip
    configuration = _configuration(type_, request)
    alarms: dict[str, dict[str, Any]] = {}
    if type_ == TRACKING:
        _check_tracking(configuration)
        alarms = definitions(variant, configuration, arn)
        for alarm in alarms.values():
            check_metric_alarm(alarm)
    else:
        _check_steps(configuration)
    document: dict[str, Any] = {
        "PolicyARN": arn,
        "PolicyName": request["PolicyName"],
        "ServiceNamespace": NAMESPACE,
        "ResourceId": variant.resource_id,
        "ScalableDimension": DIMENSION,
        "PolicyType": type_,
        CONFIGURATIONS[type_]: configuration,
        "Alarms": [
            {"AlarmName": each["AlarmName"], "AlarmARN": alarm_arn(services, each["AlarmName"])}
            for each in alarms.values()
        ],
        "CreationTime": before.document["CreationTime"] if before else now(),
    }
    await asyncio.to_thread(_put_alarms, services, before, alarms)
    if before is None:
        private = {"variant": [variant.endpoint, variant.name]}
        services.store.insert(Record(POLICY, name, arn, document, private))
    else:
        services.store.update(POLICY, name, lambda each: each.document.update(document))
    return {"PolicyARN": arn, "Alarms": document["Alarms"]}


def _check_count(services: Services, variant: Variant) -> None:
    policies = services.store.list(POLICY)
    count = sum(each.document["ResourceId"] == variant.resource_id for each in policies)
    if count >= POLICIES_PER_TARGET:
        raise LimitExceededException(f"{variant.resource_id} has {count} policies; it may have no more")


def _configuration(type_: str, request: Mapping[str, Any]) -> dict[str, Any]:
    if type_ not in CONFIGURATIONS:
        raise ValidationException(f"The local SageMaker does not serve policies of type {type_}")
    wanted = CONFIGURATIONS[type_]
    others = [each for each in request if each.endswith("PolicyConfiguration") and each != wanted]
    if others or wanted not in request:
        raise ValidationException(f"A policy of type {type_} must have {wanted}, and no other configuration")
    return dict(request[wanted])


def _check_tracking(configuration: Mapping[str, Any]) -> None:
    if not (math.isfinite(configuration["TargetValue"]) and configuration["TargetValue"] > 0):
        raise ValidationException(f"TargetValue must be above 0, not {configuration['TargetValue']}")
    for name in ("ScaleOutCooldown", "ScaleInCooldown"):
        if configuration.get(name, 0) < 0:
            raise ValidationException(f"{name} must not be negative")


def _check_steps(configuration: Mapping[str, Any]) -> None:
    if "AdjustmentType" not in configuration:
        raise ValidationException("You must specify an AdjustmentType for policy type: StepScaling")
    steps: Sequence[Mapping[str, Any]] = configuration.get("StepAdjustments", ())
    if not steps:
        raise ValidationException("You must specify at least one StepAdjustment")
    if len(steps) > STEPS_PER_POLICY:
        raise ValidationException(
            f"A policy has at most {STEPS_PER_POLICY} step adjustments, not {len(steps)}"
        )
    magnitude = configuration.get("MinAdjustmentMagnitude")
    if magnitude is not None and (
        configuration["AdjustmentType"] != "PercentChangeInCapacity" or magnitude < 1
    ):
        raise ValidationException(
            "MinAdjustmentMagnitude goes with PercentChangeInCapacity only, and is 1 or more"
        )
    if configuration.get("Cooldown", 0) < 0:
        raise ValidationException("Cooldown must not be negative")
    bounds = sorted(
        (step.get("MetricIntervalLowerBound", -math.inf), step.get("MetricIntervalUpperBound", math.inf))
        for step in steps
    )
    for lower, upper in bounds:
        if not lower < upper:
            raise ValidationException(
                f"A step's lower bound ({lower:g}) must be below its upper one ({upper:g})"
            )
    for (_, end), (start, _) in pairwise(bounds):
        if start < end:
            raise ValidationException(f"Step adjustments must not overlap; those at {start:g} do")
        if start > end:
            raise ValidationException(
                f"There must not be a gap between step adjustments; {end:g} to {start:g} is"
            )


def _put_alarms(services: Services, before: Record | None, alarms: Mapping[str, Mapping[str, Any]]) -> None:
    """The new alarms first: a kill in between leaves one too many, which acts for the same policy."""
    private = {"time_scale": services.settings.scaling_time_scale}
    for definition in alarms.values():
        put_alarm(services, METRIC, definition, private)
    if before is not None:
        _remove_alarms(services, before)


def _remove_alarms(services: Services, policy: Record) -> None:
    for alarm in policy.document.get("Alarms", ()):
        try:
            services.alarms.delete(alarm["AlarmName"])
        except KeyError:
            continue


def remove(services: Services, policy: Record) -> None:
    """Delete a policy with its alarms."""
    services.store.delete(POLICY, policy.name)
    _remove_alarms(services, policy)


async def delete_scaling_policy(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteScalingPolicy, with the alarms that it made."""
    variant = variant_of(request)
    try:
        policy = services.store.get(POLICY, f"{variant.resource_id}:{request['PolicyName']}")
    except NotFound:
        raise ObjectNotFoundException(
            f"No scaling policy found for service namespace: {NAMESPACE}, "
            f"resource ID: {variant.resource_id}, scalable dimension: {DIMENSION}, "
            f"policy name: {request['PolicyName']}"
        ) from None
    await asyncio.to_thread(remove, services, policy)
    return {}


OPERATIONS: Mapping[str, Handler] = {
    "PutScalingPolicy": put_scaling_policy,
    "DeleteScalingPolicy": delete_scaling_policy,
}
