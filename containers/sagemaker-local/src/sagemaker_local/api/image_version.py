"""Versions of SageMaker images: each a container image that is made ready to start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.hosting import only_set
from sagemaker_local.api.image import ImageNotFound, get_image, sorting, versions
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ResourceInUse
from sagemaker_local.image_versions import KIND
from sagemaker_local.names import now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import Record

PROPERTIES = (
    "VendorGuidance",
    "JobType",
    "MLFramework",
    "ProgrammingLang",
    "Processor",
    "Horovod",
    "ReleaseNotes",
)
SUMMARY = ("CreationTime", "FailureReason", "ImageArn", "ImageVersionArn", "ImageVersionStatus",
           "LastModifiedTime", "Version")  # fmt: skip


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateImageVersion; a ClientToken that was given before names the version that it made."""
    image = get_image(services, request["ImageName"])
    token, aliases = request["ClientToken"], request.get("Aliases", [])
    with services.store.transaction():
        there = versions(services, image.name)
        for each in there:
            if each.private["token"] == token:
                return {"ImageVersionArn": each.arn}
        _check_free(there, aliases)
        number = services.store.next_number(f"{image.arn}/versions")
        version_arn = f"{image.arn.replace(':image/', ':image-version/')}/{number}"
        record = Record(KIND, f"{image.name}/{number}", version_arn, {})
        record.private = {"image": image.name, "token": token, "aliases": aliases}
        record.document = only_set(
            {
                "BaseImage": request["BaseImage"],
                "ContainerImage": request["BaseImage"],
                "CreationTime": now(),
                "ImageArn": image.arn,
                "ImageVersionArn": version_arn,
                "ImageVersionStatus": "CREATING",
                "LastModifiedTime": now(),
                "Version": number,
                **{field: request[field] for field in PROPERTIES if field in request},
            }
        )
        services.store.insert(record)
    services.image_versions.submit(record.name)
    return {"ImageVersionArn": version_arn}


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeImageVersion: of a number, of an alias, or the newest."""
    return _get(services, request).document


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListImageVersions."""
    image = get_image(services, request["ImageName"])
    return list_page(
        versions(services, image.name),
        sorting(request),
        name_field="ImageVersionArn",
        status_field=None,
        summary=lambda record: only_set({field: record.document.get(field) for field in SUMMARY}),
        summaries_field="ImageVersions",
    )


async def list_aliases(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListAliases."""
    given = "Version" in request or "Alias" in request
    image = get_image(services, request["ImageName"])
    of = [_get(services, request)] if given else versions(services, image.name)
    aliases = sorted(alias for each in of for alias in each.private["aliases"])
    records = [Record("alias", alias, "", {"Alias": alias}) for alias in aliases]
    order: dict[str, Any] = {name: request[name] for name in ("MaxResults", "NextToken") if name in request}
    answer = list_page(
        records,
        {**order, "SortBy": "Name", "SortOrder": "Ascending"},
        name_field="Alias",
        status_field=None,
        summary=lambda record: {"Alias": record.name},
        summaries_field="SageMakerImageVersionAliases",
    )
    answer["SageMakerImageVersionAliases"] = [
        each["Alias"] for each in answer["SageMakerImageVersionAliases"]
    ]
    return answer


async def update(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateImageVersion."""
    version = _get(services, request)
    added, removed = request.get("AliasesToAdd", []), request.get("AliasesToDelete", [])

    def change(record: Record) -> None:
        kept = [alias for alias in record.private["aliases"] if alias not in removed]
        record.private["aliases"] = kept + [alias for alias in added if alias not in kept]
        record.document.update({field: request[field] for field in PROPERTIES if field in request})
        record.document["LastModifiedTime"] = now()

    with services.store.transaction():
        others = [each for each in versions(services, request["ImageName"]) if each.name != version.name]
        _check_free(others, added)
        services.store.update(KIND, version.name, change)
    return {"ImageVersionArn": version.arn}


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteImageVersion."""
    services.store.delete(KIND, _get(services, request).name)
    return {}


def _check_free(there: list[Record], aliases: list[str]) -> None:
    taken = {alias for each in there for alias in each.private["aliases"]} & set(aliases)
    if taken:
        raise ResourceInUse(f"The alias {', '.join(sorted(taken))} belongs to another version of the image.")


def _get(services: Services, request: dict[str, Any]) -> Record:
    name = get_image(services, request["ImageName"]).name
    there = versions(services, name)
    if alias := request.get("Alias"):
        found = [each for each in there if alias in each.private["aliases"]]
    elif number := request.get("Version"):
        found = [each for each in there if each.document["Version"] == number]
    else:
        found = there[-1:]
    if not found:
        wanted = request.get("Alias") or request.get("Version") or "latest"
        raise ImageNotFound(f"No ImageVersion {wanted} of the Image {name} found.")
    return found[0]


OPERATIONS: Mapping[str, Handler] = {
    "CreateImageVersion": create,
    "DescribeImageVersion": describe,
    "ListImageVersions": list_,
    "ListAliases": list_aliases,
    "UpdateImageVersion": update,
    "DeleteImageVersion": delete,
}
