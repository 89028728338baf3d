"""SageMaker images: named lines of image versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.hosting import only_set, tags
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import AwsError, ResourceInUse
from sagemaker_local.names import arn, now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import AlreadyExists, NotFound, Record

KIND = "image"
SORT_FIELDS = {"CREATION_TIME": "CreationTime", "LAST_MODIFIED_TIME": "LastModifiedTime",
               "IMAGE_NAME": "Name", "VERSION": "Version"}  # fmt: skip
SORT_ORDERS = {"ASCENDING": "Ascending", "DESCENDING": "Descending"}


class ImageNotFound(AwsError):
    """No image or version, by the code that botocore's waiters look for; the service's model has another."""

    code = "ResourceNotFoundException"


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateImage."""
    name = request["ImageName"]
    record = Record(KIND, name, arn(services.settings, KIND, name), {})
    record.document = only_set(
        {
            "CreationTime": now(),
            "Description": request.get("Description"),
            "DisplayName": request.get("DisplayName"),
            "ImageArn": record.arn,
            "ImageName": name,
            "ImageStatus": "CREATED",
            "LastModifiedTime": now(),
            "RoleArn": request["RoleArn"],
        }
    )
    try:
        services.store.insert(record, tags(request))
    except AlreadyExists:
        raise ResourceInUse(f"Image with the name {name} already exists.") from None
    return {"ImageArn": record.arn}


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeImage."""
    return get_image(services, request["ImageName"]).document


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListImages."""
    return list_page(
        services.store.list(KIND),
        sorting(request),
        name_field="ImageName",
        status_field=None,
        summary=lambda record: {
            field: value for field, value in record.document.items() if field != "RoleArn"
        },
        summaries_field="Images",
    )


async def update(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateImage."""
    record = get_image(services, request["ImageName"])

    def change(found: Record) -> None:
        for field in request.get("DeleteProperties", []):
            found.document.pop(field, None)
        for field in ("Description", "DisplayName", "RoleArn"):
            if field in request:
                found.document[field] = request[field]
        found.document["LastModifiedTime"] = now()

    services.store.update(KIND, record.name, change)
    return {"ImageArn": record.arn}


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteImage: with its versions."""
    image = get_image(services, request["ImageName"])
    with services.store.transaction():
        for version in versions(services, image.name):
            services.store.delete(version.kind, version.name)
        services.store.delete(KIND, image.name)
    return {}


def get_image(services: Services, name: str) -> Record:
    """An image's record.

    Raises:
        ImageNotFound: there is none of that name.
    """
    try:
        return services.store.get(KIND, name)
    except NotFound:
        raise ImageNotFound(f"No Image with the name {name} found.") from None


def versions(services: Services, name: str) -> list[Record]:
    """An image's versions, oldest first."""
    found = [each for each in services.store.list("image_version") if each.private["image"] == name]
    return sorted(found, key=lambda record: int(record.document["Version"]))


def sorting(request: dict[str, Any]) -> dict[str, Any]:
    """A List request with its order in the words of the other List operations."""
    order: dict[str, Any] = {}
    if "SortBy" in request:
        order["SortBy"] = SORT_FIELDS[request["SortBy"]]
    if "SortOrder" in request:
        order["SortOrder"] = SORT_ORDERS[request["SortOrder"]]
    return {**request, **order}


OPERATIONS: Mapping[str, Handler] = {
    "CreateImage": create,
    "DescribeImage": describe,
    "ListImages": list_,
    "UpdateImage": update,
    "DeleteImage": delete,
}
