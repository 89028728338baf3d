"""What the four kinds of job have in common: create, describe, list, stop, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sagemaker_local import limits, quotas
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import AwsError, ResourceInUse, ValidationException
from sagemaker_local.jobs.kinds import JobKind
from sagemaker_local.jobs.record import JobRecord
from sagemaker_local.names import arn, now
from sagemaker_local.services import Services
from sagemaker_local.store import AlreadyExists, NotFound, Record

NotFoundError = Callable[[str], AwsError]
"""Words the error of one kind of job for a name that does not exist."""


def create_job(
    services: Services, kind: JobKind, request: Mapping[str, Any], document: dict[str, Any]
) -> dict[str, Any]:
    """Write a job's record and start it.

    Args:
        services: The server's parts.
        kind: The kind of job.
        request: The validated request, for its name and tags.
        document: What Describe answers, without name, ARN, status and times.

    Raises:
        ResourceInUse: the name is taken, whatever became of that job.
        ResourceLimitExceeded: the quotas leave no room for its instances.
    """
    name = request[kind.name_field]
    quotas.require_job(services, kind.kind, name, document)
    job_arn = arn(services.settings, kind.kind, name)
    at = now()
    whole = {
        **document,
        kind.name_field: name,
        kind.arn_field: job_arn,
        kind.status_field: kind.statuses.starting,
        "CreationTime": at,
    }
    tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
    try:
        services.store.insert(Record(kind.kind, name, job_arn, whole), tags)
    except AlreadyExists as error:
        raise ResourceInUse(
            f"Job name must be unique within an AWS account and region, and a {kind.words} with this name "
            f"already exists ({job_arn})"
        ) from error
    JobRecord(services.store, kind, name).restart()
    services.jobs.submit(kind.kind, name)
    return {kind.arn_field: job_arn}


def without(request: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The request's members that Describe repeats: all that are set, but for those named and the tags."""
    left_out = {*names, "Tags"}
    return {name: value for name, value in request.items() if name not in left_out and value is not None}


def get_job(services: Services, kind: JobKind, name: str, not_found: NotFoundError) -> Record:
    """A job's record.

    Raises:
        AwsError: there is none, in the words of its kind.
    """
    try:
        return services.store.get(kind.kind, name)
    except NotFound as error:
        raise not_found(name) from error


def list_jobs(
    services: Services,
    kind: JobKind,
    request: dict[str, Any],
    fields: tuple[str, ...],
    more: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None,
    keep: Callable[[Mapping[str, Any]], bool] | None = None,
) -> dict[str, Any]:
    """One page of a kind's jobs.

    Args:
        services: The server's parts.
        kind: The kind of job.
        request: The List request.
        fields: Fields of the Describe answer that a summary repeats when they are set.
        more: Further fields of a summary.
        keep: Which jobs the request's own filters leave, by their Describe answer; all by default.
    """
    names = (
        kind.name_field, kind.arn_field, kind.status_field, kind.end_field,
        "CreationTime", "LastModifiedTime", *fields,
    )  # fmt: skip
    records = services.store.list(kind.kind)
    if keep is not None:
        records = [record for record in records if keep(record.document)]

    def summary(record: Record) -> dict[str, Any]:
        document = record.document
        summarised = {name: document[name] for name in names if name in document}
        return summarised if more is None else summarised | more(document)

    return list_page(
        records,
        request,
        name_field=kind.name_field,
        status_field=kind.status_field,
        summary=summary,
        summaries_field=f"{kind.noun}Summaries",
    )


def stop_job(services: Services, kind: JobKind, name: str, not_found: NotFoundError) -> dict[str, Any]:
    """Ask a job to stop; asking again while it stops is no error.

    Raises:
        ValidationException: the job is over.
    """
    status = get_job(services, kind, name, not_found).document[kind.status_field]
    if status not in kind.statuses.alive:
        raise ValidationException(f"The request was rejected because the {kind.words} is in status {status}.")
    services.jobs.stop(kind.kind, name)
    return {}


def delete_job(services: Services, kind: JobKind, name: str, not_found: NotFoundError) -> dict[str, Any]:
    """Remove the record of a job that is over.

    Raises:
        ResourceInUse: the job is not over.
    """
    status = get_job(services, kind, name, not_found).document[kind.status_field]
    if status in kind.statuses.alive:
        raise ResourceInUse(f"The {kind.words} '{name}' is in status {status}; stop it before you delete it")
    services.store.delete(kind.kind, name)
    return {}


def check_instance_count(count: int, instance_type: str, usage: str) -> None:
    """Refuse clusters of none, and those that are too large; not as a lack of quota, which clients wait for.

    Raises:
        ValidationException: too few or too many instances are asked for.
    """
    if not 1 <= count <= limits.JOB_INSTANCES:
        raise ValidationException(
            f"The local SageMaker runs a job on 1 to {limits.JOB_INSTANCES} instances and was asked for "
            f"{count} of {instance_type} for {usage} usage."
        )


def refuse(unsupported: Mapping[str, object]) -> None:
    """Refuse what the local SageMaker cannot do rather than leave it out silently.

    Args:
        unsupported: What was asked for, worded for a person → whether it was.

    Raises:
        ValidationException: one of them was.
    """
    asked = [what for what, given in unsupported.items() if given]
    if asked:
        raise ValidationException(f"The local SageMaker does not support {', '.join(asked)}")
