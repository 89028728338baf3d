"""Application Auto Scaling: scalable targets, policies, scheduled actions, activities.

Source: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_Operations.html
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from sagemaker_local.api import scaling_policy
from sagemaker_local.autoscaling import resources, schedules
from sagemaker_local.autoscaling.resources import (
    ACTIVITY,
    DIMENSION,
    NAMESPACE,
    POLICY,
    SCHEDULE,
    TARGET,
    ObjectNotFoundException,
    Variant,
    no_target,
    variant_of,
)
from sagemaker_local.errors import AwsError, ValidationException
from sagemaker_local.names import now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import NotFound, Record

PAGE_DEFAULT = 50
SUSPENDABLE = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
LARGEST_CAPACITY = 2**31 - 1


class InvalidNextTokenException(AwsError):
    """The token is not one that this server gave."""

    code = "InvalidNextTokenException"


class ResourceNotFoundException(AwsError):
    """There is no such scalable target to tag."""

    code = "ResourceNotFoundException"


async def register_scalable_target(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """RegisterScalableTarget: a new target, or other bounds of one; instances follow the bounds."""
    variant = variant_of(request)
    _require_variant(services, variant)
    store = services.store
    try:
        target = store.get(TARGET, variant.resource_id)
        new = False
    except NotFound:
        target = _new_target(services, variant, request)
        new = True
    document = target.document
    document |= {name: request[name] for name in ("MinCapacity", "MaxCapacity") if name in request}
    document["SuspendedState"] |= request.get("SuspendedState", {})
    _check_bounds(document)
    if new:
        store.insert(target, request.get("Tags"))
    else:
        target = store.update(TARGET, variant.resource_id, lambda each: each.document.update(document))
    current = services.autoscaling.settled_count(variant)
    low = current is not None and current < document["MinCapacity"]
    word, bound = ("minimum", "MinCapacity") if low else ("maximum", "MaxCapacity")
    services.autoscaling.keep_within(target, f"{word} capacity was set to {document[bound]}")
    return {"ScalableTargetARN": document["ScalableTargetARN"]}


def _new_target(services: Services, variant: Variant, request: Mapping[str, Any]) -> Record:
    missing = [name for name in ("MinCapacity", "MaxCapacity") if name not in request]
    if missing:
        raise ValidationException(f"A new scalable target needs {' and '.join(missing)}")
    arn = resources.target_arn(services.settings)
    document = {
        "ServiceNamespace": NAMESPACE,
        "ResourceId": variant.resource_id,
        "ScalableDimension": DIMENSION,
        "RoleARN": resources.service_role(services.settings),
        "CreationTime": now(),
        "SuspendedState": dict.fromkeys(SUSPENDABLE, False),
        "ScalableTargetARN": arn,
    }
    return Record(TARGET, variant.resource_id, arn, document, {"variant": [variant.endpoint, variant.name]})


def _check_bounds(document: Mapping[str, Any]) -> None:
    least, most = document["MinCapacity"], document["MaxCapacity"]
    if least < 1:
        raise ValidationException(f"MinCapacity of a variant must be 1 or more, not {least}")
    if most > LARGEST_CAPACITY:
        raise ValidationException(f"MaxCapacity must be at most {LARGEST_CAPACITY}")
    if most < least:
        raise ValidationException("Maximum capacity cannot be less than minimum capacity")


def _require_variant(services: Services, variant: Variant) -> None:
    try:
        endpoint = services.store.get("endpoint", variant.endpoint)
    except NotFound:
        raise ValidationException(
            f"SageMaker endpoint {variant.endpoint} does not exist in this account"
        ) from None
    found = {each["VariantName"]: each for each in endpoint.document.get("ProductionVariants", ())}
    if endpoint.document.get("ProductionVariants") and variant.name not in found:
        raise ValidationException(f"The endpoint {variant.endpoint} has no variant {variant.name}")
    if "CurrentServerlessConfig" in found.get(variant.name, {}):
        raise ValidationException(
            f"The variant {variant.name} is serverless: the local SageMaker does not scale its concurrency"
        )


async def deregister_scalable_target(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeregisterScalableTarget, with its policies, their alarms and its scheduled actions."""
    variant = variant_of(request)
    store = services.store
    try:
        store.get(TARGET, variant.resource_id)
    except NotFound:
        raise no_target(variant) from None
    for policy in _of(services, POLICY, variant):
        await asyncio.to_thread(scaling_policy.remove, services, policy)
    for action in _of(services, SCHEDULE, variant):
        store.delete(SCHEDULE, action.name)
    store.delete(TARGET, variant.resource_id)
    return {}


def _of(services: Services, kind: str, variant: Variant) -> list[Record]:
    return [each for each in services.store.list(kind) if each.document["ResourceId"] == variant.resource_id]


async def put_scheduled_action(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """PutScheduledAction: a new one, or a change of one."""
    variant = variant_of(request)
    try:
        services.store.get(TARGET, variant.resource_id)
    except NotFound:
        raise no_target(variant) from None
    name = f"{variant.resource_id}:{request['ScheduledActionName']}"
    given = ("ScheduledActionName", "ServiceNamespace", "ResourceId", "ScalableDimension", "Schedule",
             "Timezone", "StartTime", "EndTime", "ScalableTargetAction")  # fmt: skip
    definition = {key: request[key] for key in given if key in request}
    try:
        document = services.store.get(SCHEDULE, name).document | definition
        known = True
    except NotFound:
        arn = resources.schedule_arn(services.settings, variant, request["ScheduledActionName"])
        document = {**definition, "ScheduledActionARN": arn, "CreationTime": now()}
        known = False
    if "Schedule" not in document:
        raise ValidationException("A new scheduled action needs a Schedule")
    schedules.check(document["Schedule"], document.get("Timezone", "UTC"))
    bounds = document.get("ScalableTargetAction") or {}
    if not bounds:
        raise ValidationException("ScalableTargetAction must have MinCapacity, MaxCapacity or both")
    if bounds.get("MinCapacity", 1) < 1 or bounds.get("MaxCapacity", 2**31) < bounds.get("MinCapacity", 1):
        raise ValidationException("ScalableTargetAction must have 1 <= MinCapacity <= MaxCapacity")
    if known:
        services.store.update(SCHEDULE, name, lambda each: each.document.update(document))
    else:
        private = {"variant": [variant.endpoint, variant.name], "anchor_s": now()}
        services.store.insert(Record(SCHEDULE, name, document["ScheduledActionARN"], document, private))
    return {}


async def delete_scheduled_action(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteScheduledAction."""
    variant = variant_of(request)
    name = request["ScheduledActionName"]
    try:
        services.store.delete(SCHEDULE, f"{variant.resource_id}:{name}")
    except NotFound:
        raise ObjectNotFoundException(
            f"No scheduled action found for service namespace: {NAMESPACE}, "
            f"resource ID: {variant.resource_id}, scalable dimension: {DIMENSION}, "
            f"scheduled action name: {name}"
        ) from None
    return {}


Filter = Callable[[dict[str, Any], Record], bool]


def _describe(kind: str, answer: str, matches: Filter, *, newest_first: bool = False) -> Handler:
    async def handler(services: Services, request: dict[str, Any]) -> dict[str, Any]:
        resources.check_namespace(request)
        if "ScalableDimension" in request and not (request.get("ResourceId") or request.get("ResourceIds")):
            raise ValidationException("ScalableDimension needs a resource ID beside it")
        records = [
            each
            for each in services.store.list(kind)
            if request.get("ResourceId", each.document["ResourceId"]) == each.document["ResourceId"]
            and request.get("ScalableDimension", DIMENSION) == each.document["ScalableDimension"]
            and matches(request, each)
        ]
        if newest_first:
            records.sort(key=lambda each: (each.document["StartTime"], each.name), reverse=True)
        names = [each.name for each in records]
        start = 0
        if "NextToken" in request:
            try:
                start = (
                    names.index(
                        base64.b64decode(request["NextToken"].encode(), b"-_", validate=True).decode()
                    )
                    + 1
                )
            except (ValueError, binascii.Error):
                raise InvalidNextTokenException("The NextToken is not valid") from None
        most = request.get("MaxResults", PAGE_DEFAULT)
        if not 1 <= most <= PAGE_DEFAULT:
            raise ValidationException(f"MaxResults must be between 1 and {PAGE_DEFAULT}, not {most}")
        page = records[start : start + most]
        result: dict[str, Any] = {answer: [each.document for each in page]}
        if start + most < len(records):
            result["NextToken"] = base64.urlsafe_b64encode(page[-1].name.encode()).decode()
        return result

    return handler


def _named(parameter: str, field: str) -> Filter:
    """Records that a list of names has, or all without one."""
    return lambda request, each: not request.get(parameter) or each.document[field] in request[parameter]


def _any(_request: dict[str, Any], _record: Record) -> bool:
    return True


def _tagged(services: Services, request: Mapping[str, Any]) -> str:
    arn = str(request["ResourceARN"])
    try:
        if services.store.get_by_arn(arn).kind == TARGET:
            return arn
    except NotFound:
        pass
    raise ResourceNotFoundException(f"The scalable target {arn} does not exist")


async def list_tags_for_resource(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListTagsForResource, of scalable targets."""
    return {"Tags": services.store.tags(_tagged(services, request))}


async def tag_resource(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """TagResource, of scalable targets."""
    services.store.add_tags(_tagged(services, request), request["Tags"])
    return {}


async def untag_resource(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UntagResource, of scalable targets."""
    services.store.delete_tags(_tagged(services, request), request["TagKeys"])
    return {}


OPERATIONS: Mapping[str, Handler] = {
    "RegisterScalableTarget": register_scalable_target,
    "DeregisterScalableTarget": deregister_scalable_target,
    "DescribeScalableTargets": _describe(TARGET, "ScalableTargets", _named("ResourceIds", "ResourceId")),
    **scaling_policy.OPERATIONS,
    "DescribeScalingPolicies": _describe(POLICY, "ScalingPolicies", _named("PolicyNames", "PolicyName")),
    "DescribeScalingActivities": _describe(ACTIVITY, "ScalingActivities", _any, newest_first=True),
    "PutScheduledAction": put_scheduled_action,
    "DeleteScheduledAction": delete_scheduled_action,
    "DescribeScheduledActions": _describe(
        SCHEDULE, "ScheduledActions", _named("ScheduledActionNames", "ScheduledActionName")
    ),
    "ListTagsForResource": list_tags_for_resource,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
