"""Operations of pipelines and their versions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.hosting import only_set, tags
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ConflictException, ResourceNotFound, ValidationException
from sagemaker_local.names import arn, now
from sagemaker_local.pipelines.definition import read_definition
from sagemaker_local.pipelines.record import ALIVE, EXECUTION, PIPELINE, VERSION, version_name
from sagemaker_local.protocol import Handler
from sagemaker_local.s3.errors import S3Error
from sagemaker_local.services import Services
from sagemaker_local.store import AlreadyExists, NotFound, Record

SUMMARY_FIELDS = (
    "PipelineArn", "PipelineName", "PipelineDisplayName", "PipelineDescription", "RoleArn", "CreationTime",
    "LastModifiedTime",
)  # fmt: skip
CHANGEABLE = ("PipelineDisplayName", "PipelineDescription", "RoleArn", "ParallelismConfiguration")


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreatePipeline: checks the definition and keeps it as version 1."""
    name = request["PipelineName"]
    text = await _definition(services, request)
    if text is None:
        raise ValidationException("PipelineDefinition or PipelineDefinitionS3Location is required")
    pipeline_arn = arn(services.settings, PIPELINE, name)
    at = now()
    document = only_set(
        {
            "PipelineArn": pipeline_arn,
            "PipelineName": name,
            "PipelineStatus": "Active",
            "CreationTime": at,
            "LastModifiedTime": at,
            "CreatedBy": {},
            "LastModifiedBy": {},
            **{field: request.get(field) for field in CHANGEABLE},
        }
    )
    document.setdefault("PipelineDisplayName", name)
    private = {"token": request["ClientRequestToken"], "version": 0}
    with services.store.transaction():
        try:
            services.store.insert(Record(PIPELINE, name, pipeline_arn, document, private), tags(request))
        except AlreadyExists:
            if _has_token(services, pipeline_arn, request["ClientRequestToken"]):
                return {"PipelineArn": pipeline_arn}
            raise ValidationException(
                "Pipeline names must be unique within an AWS account and region. "
                f"Pipeline with name ({name}) already exists."
            ) from None
        _add_version(services, name, text)
    return {"PipelineArn": pipeline_arn}


def _has_token(services: Services, pipeline_arn: str, token: str) -> bool:
    return bool(services.store.get_by_arn(pipeline_arn).private["token"] == token)


async def update(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdatePipeline: a new definition is a new version; executions under way keep theirs."""
    record = get(services, request["PipelineName"])
    text = await _definition(services, request)

    def change(record: Record) -> None:
        record.document |= {field: request[field] for field in CHANGEABLE if request.get(field) is not None}
        record.document["LastModifiedTime"] = now()

    with services.store.transaction():
        services.store.update(PIPELINE, record.name, change)
        version = record.private["version"] if text is None else _add_version(services, record.name, text)
    return {"PipelineArn": record.arn, "PipelineVersionId": version}


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribePipeline: the newest version, or the one asked for."""
    record = get(services, request["PipelineName"])
    version = get_version(services, record, request.get("PipelineVersionId"))
    runs = [run.document["CreationTime"] for run in executions(services, record.name)]
    names = ("PipelineDefinition", "PipelineVersionDisplayName", "PipelineVersionDescription")
    answer = record.document | {name: version.document[name] for name in names if name in version.document}
    return answer | ({"LastRunTime": max(runs)} if runs else {})


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListPipelines."""
    runs: dict[str, float] = {}
    for run in services.store.list(EXECUTION):
        name = run.private["pipeline"]
        runs[name] = max(runs.get(name, 0.0), run.document["CreationTime"])

    def summary(record: Record) -> dict[str, Any]:
        entry = {field: record.document[field] for field in SUMMARY_FIELDS if field in record.document}
        return entry | ({"LastExecutionTime": runs[record.name]} if record.name in runs else {})

    prefix = request.get("PipelineNamePrefix", "")
    found = [record for record in services.store.list(PIPELINE) if record.name.startswith(prefix)]
    return list_page(
        found,
        created(request),
        name_field="PipelineName",
        status_field=None,
        summary=summary,
        summaries_field="PipelineSummaries",
    )


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeletePipeline: with its versions and its executions; none of them may be running."""
    record = get(services, request["PipelineName"])
    with services.store.transaction():
        runs = executions(services, record.name)
        running = [run.arn for run in runs if run.document["PipelineExecutionStatus"] in ALIVE]
        if running:
            raise ConflictException(
                f"Pipeline {record.arn} has running executions: {', '.join(running)}; stop them first"
            )
        for run in runs:
            services.store.delete(EXECUTION, run.name)
        for version in range(1, record.private["version"] + 1):
            services.store.delete(VERSION, version_name(record.name, version))
        services.store.delete(PIPELINE, record.name)
    return {"PipelineArn": record.arn}


async def list_versions(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListPipelineVersions, the newest first."""
    record = get(services, request["PipelineName"])
    last = {run.private["version"]: run.arn for run in executions(services, record.name)}

    def summary(version: Record) -> dict[str, Any]:
        entry = {key: value for key, value in version.document.items() if key != "PipelineDefinition"}
        entry["PipelineArn"] = record.arn
        if (run := last.get(version.document["PipelineVersionId"])) is not None:
            entry["LastExecutionPipelineExecutionArn"] = run
        return entry

    numbers = range(1, record.private["version"] + 1)
    return list_page(
        [services.store.get(VERSION, version_name(record.name, number)) for number in numbers],
        created(request),
        name_field="PipelineVersionId",
        status_field=None,
        summary=summary,
        summaries_field="PipelineVersionSummaries",
        sort_by_default="PipelineVersionId",
    )


async def update_version(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdatePipelineVersion: what people call a version."""
    record = get(services, request["PipelineArn"])
    version = get_version(services, record, request["PipelineVersionId"])
    given = {key: value for key, value in request.items() if key.startswith("PipelineVersionD")}
    services.store.update(VERSION, version.name, lambda changed: changed.document.update(given))
    return {"PipelineArn": record.arn, "PipelineVersionId": request["PipelineVersionId"]}


def get(services: Services, name_or_arn: str) -> Record:
    """Read a pipeline by its name or ARN.

    Raises:
        ResourceNotFound: there is none.
    """
    is_arn = name_or_arn.startswith("arn:")
    wanted = name_or_arn if is_arn else arn(services.settings, PIPELINE, name_or_arn)
    try:
        record = services.store.get_by_arn(wanted)
    except NotFound:
        record = None
    if record is None or record.kind != PIPELINE:
        raise ResourceNotFound(f"Pipeline '{wanted}' does not exist.")
    return record


def get_version(services: Services, pipeline: Record, version: int | None) -> Record:
    """Read a version of a pipeline, by default the newest.

    Raises:
        ResourceNotFound: there is none of that number.
    """
    number = pipeline.private["version"] if version is None else int(version)
    try:
        return services.store.get(VERSION, version_name(pipeline.name, number))
    except NotFound:
        raise ResourceNotFound(f"Version {number} of pipeline '{pipeline.arn}' does not exist.") from None


def executions(services: Services, pipeline: str) -> list[Record]:
    """All executions of a pipeline, the oldest first."""
    found = [run for run in services.store.list(EXECUTION) if run.private["pipeline"] == pipeline]
    return sorted(found, key=lambda run: (run.document["CreationTime"], run.name))


def created(request: dict[str, Any]) -> dict[str, Any]:
    """The request with its filters called as other List operations call them."""
    renamed = {"CreatedAfter": "CreationTimeAfter", "CreatedBefore": "CreationTimeBefore"}
    return {renamed.get(key, key): value for key, value in request.items()}


def _add_version(services: Services, pipeline: str, text: str) -> int:
    def count(record: Record) -> None:
        record.private["version"] += 1

    record = services.store.update(PIPELINE, pipeline, count)
    version = int(record.private["version"])
    document = {"PipelineVersionId": version, "CreationTime": now(), "PipelineDefinition": text}
    version_arn = f"{record.arn}/version/{version}"
    services.store.insert(Record(VERSION, version_name(pipeline, version), version_arn, document))
    return version


async def _definition(services: Services, request: dict[str, Any]) -> str | None:
    """The request's definition, read and checked; None when it has none."""
    text, location = request.get("PipelineDefinition"), request.get("PipelineDefinitionS3Location")
    if text is not None and location is not None:
        raise ValidationException(
            "Only one of PipelineDefinition and PipelineDefinitionS3Location may be given"
        )
    if location is not None:
        if location.get("VersionId"):
            raise ValidationException(
                "The local SageMaker does not support VersionId: its S3 has no versions"
            )
        text = await asyncio.to_thread(_read, services, location["Bucket"], location["ObjectKey"])
    if text is not None:
        read_definition(text)
    return text


def _read(services: Services, bucket: str, key: str) -> str:
    try:
        with services.objects.open(bucket, key) as file:
            return file.read().decode()
    except (S3Error, UnicodeDecodeError) as error:
        raise ValidationException(
            f"The pipeline definition s3://{bucket}/{key} cannot be read: {error}"
        ) from error


OPERATIONS: Mapping[str, Handler] = {
    "CreatePipeline": create,
    "UpdatePipeline": update,
    "DescribePipeline": describe,
    "ListPipelines": list_,
    "DeletePipeline": delete,
    "ListPipelineVersions": list_versions,
    "UpdatePipelineVersion": update_version,
}
