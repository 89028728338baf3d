"""What the operations of models, endpoint configs and endpoints share: AWS's wording and default answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sagemaker_local.errors import ValidationException
from sagemaker_local.names import arn
from sagemaker_local.services import Services
from sagemaker_local.store import AlreadyExists, NotFound, Record

# How AWS calls each kind in its messages, observed in clients that match on them:
# https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/sagemaker/find.go
NOUNS = {"model": "model", "endpoint_config": "endpoint configuration", "endpoint": "endpoint"}


def could_not_find(services: Services, kind: str, name: str) -> ValidationException:
    """AWS's answer when a resource is not there."""
    return ValidationException(f'Could not find {NOUNS[kind]} "{arn(services.settings, kind, name)}".')


def get(services: Services, kind: str, name: str) -> Record:
    """Read a resource.

    Raises:
        ValidationException: it is not there.
    """
    try:
        return services.store.get(kind, name)
    except NotFound:
        raise could_not_find(services, kind, name) from None


def insert(services: Services, record: Record, request: dict[str, Any]) -> None:
    """Write a new resource with the request's tags.

    Raises:
        ValidationException: it exists already.
    """
    try:
        services.store.insert(record, tags(request))
    except AlreadyExists:
        raise ValidationException(
            f'Cannot create already existing {NOUNS[record.kind]} "{record.arn}".'
        ) from None


def tags(request: dict[str, Any]) -> dict[str, str]:
    """The request's tags by key.

    Raises:
        ValidationException: a key is given twice.
    """
    given = request.get("Tags", [])
    by_key = {tag["Key"]: tag["Value"] for tag in given}
    if len(by_key) != len(given):
        raise ValidationException("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    return by_key


def refuse(request: dict[str, Any], fields: Iterable[str], where: str) -> None:
    """Refuse what would silently do nothing here.

    Raises:
        ValidationException: one of the fields is set; it is named.
    """
    for field in fields:
        if request.get(field):
            raise ValidationException(f"The local SageMaker does not serve {field} of {where}; leave it out")


def only_set(document: dict[str, Any]) -> dict[str, Any]:
    """The document without unset keys: clients read ``{}`` and ``null`` as settings."""
    return {key: value for key, value in document.items() if value is not None}
