"""Model packages: what was built, by which metrics, and whether it may be deployed.

A package of a group is versioned: its ARN ends in ``/GROUP/NUMBER`` and numbers are never given twice, even
when the newest package was deleted. A package with a name of its own is unversioned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.hosting import only_set, refuse, tags
from sagemaker_local.api.listing import list_page
from sagemaker_local.api.model_package_group import get_group
from sagemaker_local.errors import ValidationException
from sagemaker_local.names import arn, now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import AlreadyExists, NotFound, Record

SUMMARY_FIELDS = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "ModelLifeCycle",
    "ModelPackageRegistrationType",
)
UNSERVED = ("ValidationSpecification", "ManagedStorageType", "SourceAlgorithmSpecification")


async def create_model_package(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateModelPackage: versioned in a group, or unversioned; a ClientToken makes it happen once."""
    grouped, named = request.get("ModelPackageGroupName"), request.get("ModelPackageName")
    if grouped and named:
        raise ValidationException(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. "
            "Cannot determine which one to use."
        )
    if not grouped and not named:
        raise ValidationException("Missing ARN.")
    if grouped and request.get("Tags"):
        raise ValidationException(
            "Tags cannot be supplied for a versioned model package; it uses those of its model package group."
        )
    refuse(request, UNSERVED, "a model package")
    with services.store.transaction():
        if existing := _by_client_token(services, request):
            return {"ModelPackageArn": existing.arn}
        if grouped:
            group = get_group(services, grouped).name
            number = services.store.next_number(f"model_package/{group}")
            record = _record(services, f"{group}/{number}", request)
            record.document |= {
                "ModelPackageName": group,
                "ModelPackageGroupName": group,
                "ModelPackageVersion": number,
            }
            record.document.setdefault("ModelApprovalStatus", "PendingManualApproval")
        else:
            record = _record(services, str(named), request)
        try:
            services.store.insert(record, tags(request))
        except AlreadyExists:
            raise ValidationException(f"ModelPackage already exists: {record.arn}") from None
    return {"ModelPackageArn": record.arn}


async def describe_model_package(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeModelPackage, by ARN or by the name of an unversioned package."""
    return get_package(services, request["ModelPackageName"]).document


async def list_model_packages(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListModelPackages: unversioned ones unless a group or a type is asked for."""
    records = services.store.list("model_package")
    kind = request.get("ModelPackageType", "Unversioned")
    if grouped := request.get("ModelPackageGroupName"):
        group = get_group(services, grouped).name
        records = [record for record in records if record.document.get("ModelPackageGroupName") == group]
        kind = request.get("ModelPackageType", "Versioned")
    if kind != "Both":
        records = [r for r in records if ("ModelPackageVersion" in r.document) == (kind == "Versioned")]
    if approval := request.get("ModelApprovalStatus"):
        records = [record for record in records if record.document.get("ModelApprovalStatus") == approval]
    return list_page(
        records,
        request,
        name_field="ModelPackageName",
        status_field=None,
        summary=_summary,
        summaries_field="ModelPackageSummaryList",
        sort_order_default="Ascending",
    )


async def update_model_package(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateModelPackage: approval, its note, the customer's metadata and what a package may gain later."""
    package = get_package(services, request["ModelPackageArn"])
    replaced = (
        "ModelApprovalStatus",
        "ModelPackageRegistrationType",
        "ApprovalDescription",
        "InferenceSpecification",
        "SourceUri",
        "ModelCard",
        "ModelLifeCycle",
    )

    def change(record: Record) -> None:
        document = record.document
        document |= {field: request[field] for field in replaced if request.get(field) is not None}
        metadata = dict(document.get("CustomerMetadataProperties", {}))
        metadata |= request.get("CustomerMetadataProperties", {})
        for key in request.get("CustomerMetadataPropertiesToRemove", []):
            metadata.pop(key, None)
        document["CustomerMetadataProperties"] = metadata
        if not metadata:
            del document["CustomerMetadataProperties"]
        if added := request.get("AdditionalInferenceSpecificationsToAdd"):
            known = {each["Name"] for each in document.get("AdditionalInferenceSpecifications", [])}
            if twice := known & {each["Name"] for each in added}:
                raise ValidationException(
                    f"ModelPackage {record.arn} has inference specifications named {sorted(twice)} already."
                )
            document["AdditionalInferenceSpecifications"] = [
                *document.get("AdditionalInferenceSpecifications", []),
                *added,
            ]
        document["LastModifiedTime"] = now()

    services.store.update("model_package", package.name, change)
    return {"ModelPackageArn": package.arn}


async def delete_model_package(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteModelPackage; its version number stays used."""
    services.store.delete("model_package", get_package(services, request["ModelPackageName"]).name)
    return {}


def get_package(services: Services, name_or_arn: str) -> Record:
    """Read a package by its ARN, by GROUP/NUMBER, or by the name of an unversioned one.

    Raises:
        ValidationException: there is none.
    """
    is_arn = name_or_arn.startswith("arn:")
    wanted = name_or_arn if is_arn else arn(services.settings, "model_package", name_or_arn)
    try:
        record = services.store.get_by_arn(wanted)
    except NotFound:
        raise ValidationException(f"ModelPackage {wanted} does not exist.") from None
    if record.kind != "model_package":
        raise ValidationException(f"ModelPackage {wanted} does not exist.")
    return record


def _record(services: Services, name: str, request: dict[str, Any]) -> Record:
    record = Record("model_package", name, arn(services.settings, "model_package", name), {})
    kept = {key: value for key, value in request.items() if key not in ("Tags", "ClientToken")}
    at = now()
    record.document = only_set(
        {
            "ModelPackageRegistrationType": "Registered",
            "CertifyForMarketplace": False,
            **kept,
            "ModelPackageArn": record.arn,
            "CreationTime": at,
            "LastModifiedTime": at,
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        }
    )
    record.private = {"ClientToken": request.get("ClientToken")}
    return record


def _by_client_token(services: Services, request: dict[str, Any]) -> Record | None:
    token = request.get("ClientToken")
    if token is None:
        return None
    packages = services.store.list("model_package")
    return next((package for package in packages if package.private.get("ClientToken") == token), None)


def _summary(record: Record) -> dict[str, Any]:
    """An entry of the list; AWS names unversioned packages only (the ARN names the others)."""
    entry = {field: record.document[field] for field in SUMMARY_FIELDS if field in record.document}
    if "ModelPackageVersion" not in record.document:
        entry["ModelPackageName"] = record.document["ModelPackageName"]
    return entry


OPERATIONS: Mapping[str, Handler] = {
    "CreateModelPackage": create_model_package,
    "DescribeModelPackage": describe_model_package,
    "ListModelPackages": list_model_packages,
    "UpdateModelPackage": update_model_package,
    "DeleteModelPackage": delete_model_package,
}
