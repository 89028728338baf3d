"""Model package groups: the models of the registry, each a line of numbered packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.hosting import only_set, refuse, tags
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ConflictException, ValidationException
from sagemaker_local.names import arn, now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import AlreadyExists, NotFound, Record


async def create_model_package_group(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateModelPackageGroup."""
    refuse(request, ("ManagedConfiguration",), "a model package group")
    name = request["ModelPackageGroupName"]
    record = Record("model_package_group", name, arn(services.settings, "model_package_group", name), {})
    record.document = only_set(
        {
            "ModelPackageGroupName": name,
            "ModelPackageGroupArn": record.arn,
            "ModelPackageGroupDescription": request.get("ModelPackageGroupDescription"),
            "CreationTime": now(),
            "CreatedBy": {},
            "ModelPackageGroupStatus": "Completed",
        }
    )
    try:
        services.store.insert(record, tags(request))
    except AlreadyExists:
        raise ValidationException(f"Model Package Group already exists: {record.arn}") from None
    return {"ModelPackageGroupArn": record.arn}


async def describe_model_package_group(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeModelPackageGroup."""
    return get_group(services, request["ModelPackageGroupName"]).document


async def list_model_package_groups(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListModelPackageGroups."""
    fields = (
        "ModelPackageGroupName",
        "ModelPackageGroupArn",
        "ModelPackageGroupDescription",
        "CreationTime",
        "ModelPackageGroupStatus",
    )
    return list_page(
        services.store.list("model_package_group"),
        request,
        name_field="ModelPackageGroupName",
        status_field=None,
        summary=lambda record: {
            field: record.document[field] for field in fields if field in record.document
        },
        summaries_field="ModelPackageGroupSummaryList",
        sort_order_default="Ascending",
    )


async def delete_model_package_group(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteModelPackageGroup: only when it is empty."""
    group = get_group(services, request["ModelPackageGroupName"])
    with services.store.transaction():
        packages = [
            package
            for package in services.store.list("model_package")
            if package.document.get("ModelPackageGroupName") == group.name
        ]
        if packages:
            raise ConflictException(
                f"Model Package Group {group.arn} cannot be deleted: "
                f"it contains {len(packages)} model packages; delete them first."
            )
        services.store.delete("model_package_group", group.name)
    return {}


def get_group(services: Services, name_or_arn: str) -> Record:
    """Read a group by its name or ARN.

    Raises:
        ValidationException: there is none.
    """
    name = name_or_arn.rpartition("/")[2]
    wanted = arn(services.settings, "model_package_group", name)
    try:
        record = services.store.get_by_arn(wanted if name == name_or_arn else name_or_arn)
    except NotFound:
        record = None
    if record is None or record.kind != "model_package_group":
        raise ValidationException(f"ModelPackageGroup {wanted} does not exist.")
    return record


OPERATIONS: Mapping[str, Handler] = {
    "CreateModelPackageGroup": create_model_package_group,
    "DescribeModelPackageGroup": describe_model_package_group,
    "ListModelPackageGroups": list_model_package_groups,
    "DeleteModelPackageGroup": delete_model_package_group,
}
