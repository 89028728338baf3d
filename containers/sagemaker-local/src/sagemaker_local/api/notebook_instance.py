"""Operations of notebook instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.hosting import only_set, refuse, tags
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ValidationException
from sagemaker_local.names import arn, now
from sagemaker_local.notebooks.engine import KIND
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import AlreadyExists, NotFound, Record

REFUSED = ("LifecycleConfigName", "DefaultCodeRepository", "AdditionalCodeRepositories", "AcceleratorTypes")
VOLUME_DEFAULT_GB = 5
SUMMARY = ("NotebookInstanceName", "NotebookInstanceArn", "NotebookInstanceStatus", "Url", "InstanceType",
           "CreationTime", "LastModifiedTime")  # fmt: skip
CHANGEABLE = ("InstanceType", "RoleArn", "VolumeSizeInGB", "RootAccess", "PlatformIdentifier",
              "IpAddressType", "InstanceMetadataServiceConfiguration")  # fmt: skip


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateNotebookInstance."""
    refuse(request, REFUSED, "a notebook instance")
    if services.executor.name == "docker":
        raise ValidationException(
            "The local SageMaker runs notebooks as processes only; start it without --executor docker"
        )
    name = request["NotebookInstanceName"]
    record = Record(KIND, name, arn(services.settings, KIND, name), {})
    record.document = only_set(
        {
            "NotebookInstanceArn": record.arn,
            "NotebookInstanceName": name,
            "NotebookInstanceStatus": "Pending",
            "InstanceType": request["InstanceType"],
            "SubnetId": request.get("SubnetId"),
            "SecurityGroups": request.get("SecurityGroupIds"),
            "RoleArn": request["RoleArn"],
            "KmsKeyId": request.get("KmsKeyId"),
            "LastModifiedTime": now(),
            "CreationTime": now(),
            "DirectInternetAccess": request.get("DirectInternetAccess", "Enabled"),
            "VolumeSizeInGB": request.get("VolumeSizeInGB", VOLUME_DEFAULT_GB),
            "RootAccess": request.get("RootAccess", "Enabled"),
            "PlatformIdentifier": request.get("PlatformIdentifier"),
            "IpAddressType": request.get("IpAddressType"),
            "InstanceMetadataServiceConfiguration": request.get("InstanceMetadataServiceConfiguration"),
        }
    )
    try:
        services.store.insert(record, tags(request))
    except AlreadyExists:
        raise ValidationException(
            f"Cannot create a duplicate Notebook Instance ({record.arn}); choose another name, or delete it"
        ) from None
    services.notebooks.bring_up(name)
    return {"NotebookInstanceArn": record.arn}


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeNotebookInstance."""
    return _get(services, request["NotebookInstanceName"]).document


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListNotebookInstances."""
    refuse(request, ("NotebookInstanceLifecycleConfigNameContains", "DefaultCodeRepositoryContains",
                     "AdditionalCodeRepositoryEquals"), "ListNotebookInstances")  # fmt: skip
    return list_page(
        services.store.list(KIND),
        request,
        name_field="NotebookInstanceName",
        status_field="NotebookInstanceStatus",
        summary=lambda record: {
            field: record.document[field] for field in SUMMARY if field in record.document
        },
        summaries_field="NotebookInstances",
        sort_by_default="Name",
    )


async def start(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """StartNotebookInstance."""
    name = request["NotebookInstanceName"]
    _move(services, name, ("Stopped",), "Pending")
    services.notebooks.bring_up(name)
    return {}


async def stop(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """StopNotebookInstance: the notebook ends, its files stay."""
    name = request["NotebookInstanceName"]
    _move(services, name, ("InService",), "Stopping")
    services.notebooks.take_down(name)
    return {}


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteNotebookInstance: only one that is stopped or failed; its files go with it."""
    name = request["NotebookInstanceName"]
    _move(services, name, ("Stopped", "Failed"), "Deleting")
    services.notebooks.remove(name)
    return {}


async def update(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateNotebookInstance: only one that is stopped."""
    refuse(request, REFUSED, "a notebook instance")
    name = request["NotebookInstanceName"]
    _move(services, name, ("Stopped",), "Stopped")

    def change(record: Record) -> None:
        record.document.update({field: request[field] for field in CHANGEABLE if field in request})
        record.document["LastModifiedTime"] = now()

    services.store.update(KIND, name, change)
    return {}


async def presigned_url(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreatePresignedNotebookInstanceUrl: opens the notebook in this machine's browser."""
    name = request["NotebookInstanceName"]
    _move(services, name, ("InService",), "InService")
    return {"AuthorizedUrl": services.notebooks.url(name)}


def _get(services: Services, name: str) -> Record:
    try:
        return services.store.get(KIND, name)
    except NotFound:
        raise ValidationException("RecordNotFound") from None


def _move(services: Services, name: str, allowed: tuple[str, ...], status: str) -> None:
    """From one of the allowed statuses to another, in one transaction.

    Raises:
        ValidationException: it is in none of them, as AWS words it.
    """
    _get(services, name)

    def change(record: Record) -> None:
        found = record.document["NotebookInstanceStatus"]
        if found not in allowed:
            raise ValidationException(
                f"Status ({found}) not in ([{', '.join(allowed)}]). Unable to transition to ({status}) for "
                f"Notebook Instance ({record.arn})."
            )
        record.document.update(NotebookInstanceStatus=status, LastModifiedTime=now())

    services.store.update(KIND, name, change)


OPERATIONS: Mapping[str, Handler] = {
    "CreateNotebookInstance": create,
    "DescribeNotebookInstance": describe,
    "ListNotebookInstances": list_,
    "StartNotebookInstance": start,
    "StopNotebookInstance": stop,
    "UpdateNotebookInstance": update,
    "DeleteNotebookInstance": delete,
    "CreatePresignedNotebookInstanceUrl": presigned_url,
}
