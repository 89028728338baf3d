"""What can be scaled, and how the parts of Application Auto Scaling are named.

Source: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker_local.errors import AwsError, ValidationException
from sagemaker_local.settings import Settings

NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
RESOURCE = re.compile(r"endpoint/(?P<endpoint>[^/]+)/variant/(?P<variant>[^/]+)")

TARGET, POLICY, SCHEDULE, ACTIVITY = (
    "scalable_target",
    "scaling_policy",
    "scheduled_scaling_action",
    "scaling_activity",
)
"""Kinds of records in the store."""


class ObjectNotFoundException(AwsError):
    """There is no such target, policy or scheduled action."""

    code = "ObjectNotFoundException"


@dataclass(frozen=True, slots=True)
class Variant:
    """The production variant that a target scales."""

    endpoint: str
    name: str

    @property
    def resource_id(self) -> str:
        """As requests name it."""
        return f"endpoint/{self.endpoint}/variant/{self.name}"


def variant_of(request: Mapping[str, Any]) -> Variant:
    """The variant that a request names; anything else is refused by its name."""
    check_namespace(request)
    dimension = request["ScalableDimension"]
    if dimension != DIMENSION:
        raise ValidationException(
            f"The local SageMaker does not scale {dimension}; "
            f"it scales {DIMENSION} of instance-based variants"
        )
    match = RESOURCE.fullmatch(request["ResourceId"])
    if match is None:
        raise ValidationException(
            f"Unsupported resource ID {request['ResourceId']}; "
            "of a variant it is endpoint/<name>/variant/<name>"
        )
    return Variant(match["endpoint"], match["variant"])


def check_namespace(request: Mapping[str, Any]) -> None:
    """Refuse what other services scale."""
    if request["ServiceNamespace"] != NAMESPACE:
        raise ValidationException(
            f"The local SageMaker does not scale resources of {request['ServiceNamespace']}, "
            f"only of {NAMESPACE}"
        )


def target_arn(settings: Settings) -> str:
    """A new scalable target's ARN."""
    return (
        f"arn:aws:application-autoscaling:{settings.region}:{settings.account}:"
        f"scalable-target/{uuid.uuid4().hex}"
    )


def policy_arn(settings: Settings, variant: Variant, name: str) -> str:
    """A new policy's ARN; alarms name it as their action."""
    return (
        f"arn:aws:autoscaling:{settings.region}:{settings.account}:scalingPolicy:{uuid.uuid4()}:"
        f"resource/{NAMESPACE}/{variant.resource_id}:policyName/{name}"
    )


def schedule_arn(settings: Settings, variant: Variant, name: str) -> str:
    """A new scheduled action's ARN."""
    return (
        f"arn:aws:autoscaling:{settings.region}:{settings.account}:scheduledAction:{uuid.uuid4()}:"
        f"resource/{NAMESPACE}/{variant.resource_id}:scheduledActionName/{name}"
    )


def service_role(settings: Settings) -> str:
    """The service-linked role that AWS makes for scaling endpoints."""
    return (
        f"arn:aws:iam::{settings.account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    )


def no_target(variant: Variant) -> ObjectNotFoundException:
    """The refusal of a request for a target that is not registered."""
    return ObjectNotFoundException(
        f"No scalable target found for service namespace: {NAMESPACE}, resource ID: {variant.resource_id}, "
        f"scalable dimension: {DIMENSION}"
    )
