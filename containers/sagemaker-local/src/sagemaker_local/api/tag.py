"""Tags of every resource that has an ARN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.api import hosting
from sagemaker_local.errors import ResourceLimitExceeded, ValidationException
from sagemaker_local.names import ARN_RESOURCES
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import NotFound

TAGS_MAXIMUM = 50
"""Tags that one resource may have. Source: https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html"""

KIND_OF_RESOURCE = {resource: kind for kind, resource in ARN_RESOURCES.items()}


async def add_tags(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """AddTags: adds or overwrites; the answer holds the request's tags."""
    arn = existing(services, request["ResourceArn"])
    added = hosting.tags(request)
    with services.store.transaction():
        count = len(services.store.tags(arn).keys() | added.keys())
        if count > TAGS_MAXIMUM:
            raise ResourceLimitExceeded(
                f"{arn} would have {count} tags; at most {TAGS_MAXIMUM} are allowed: delete some first."
            )
        services.store.add_tags(arn, added)
    return {"Tags": request["Tags"]}


async def list_tags(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListTags: always one page, because a resource has no more tags than the smallest page."""
    held = services.store.tags(existing(services, request["ResourceArn"]))
    return {"Tags": [{"Key": key, "Value": value} for key, value in held.items()]}


async def delete_tags(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteTags."""
    services.store.delete_tags(existing(services, request["ResourceArn"]), request["TagKeys"])
    return {}


def existing(services: Services, arn: str) -> str:
    """The ARN as it is stored.

    Raises:
        ValidationException: no resource has it.
    """
    try:
        return services.store.get_by_arn(arn).arn
    except NotFound:
        kind = KIND_OF_RESOURCE.get(arn.split(":", 5)[-1].partition("/")[0], "resource")
        noun = hosting.NOUNS.get(kind, kind.replace("_", " "))
        raise ValidationException(f'Could not find {noun} "{arn}".') from None


OPERATIONS: Mapping[str, Handler] = {
    "AddTags": add_tags,
    "ListTags": list_tags,
    "DeleteTags": delete_tags,
}
