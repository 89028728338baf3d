"""What experiments, trials and trial components share: making, reading, changing and listing a record.

A trial names its experiment in its document; which components belong to it stands in ``private``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sagemaker_local.api.hosting import only_set, tags
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ResourceNotFound, ValidationException
from sagemaker_local.names import arn, now
from sagemaker_local.services import Services
from sagemaker_local.store import AlreadyExists, NotFound, Record


@dataclass(frozen=True, slots=True)
class Noun:
    """One of the three kinds of record.

    Attributes:
        kind: The store's word.
        noun: Prefix of the fields: ``Trial`` → ``TrialName``.
        fields: Members of the Create request that Describe repeats.
        changeable: Members of the Update request that replace what was.
        summary_fields: Further members of a List answer's entry.
    """

    kind: str
    noun: str
    fields: tuple[str, ...]
    changeable: tuple[str, ...]
    summary_fields: tuple[str, ...] = ()

    @property
    def name_field(self) -> str:
        """For example ``TrialName``."""
        return f"{self.noun}Name"

    @property
    def arn_field(self) -> str:
        """For example ``TrialArn``."""
        return f"{self.noun}Arn"


EXPERIMENT = Noun("experiment", "Experiment", ("DisplayName", "Description"), ("DisplayName", "Description"))
TRIAL = Noun(
    "trial", "Trial", ("DisplayName", "ExperimentName", "MetadataProperties"), ("DisplayName",)
)  # fmt: skip
COMPONENT = Noun(
    "trial_component", "TrialComponent",
    ("DisplayName", "Status", "StartTime", "EndTime", "Parameters", "InputArtifacts", "OutputArtifacts",
     "MetadataProperties"),
    ("DisplayName", "Status", "StartTime", "EndTime"),
    ("Status", "StartTime", "EndTime", "CreatedBy", "LastModifiedBy"),
)  # fmt: skip


def create(services: Services, noun: Noun, request: dict[str, Any]) -> dict[str, Any]:
    """Make a record; answers its ARN.

    Raises:
        ValidationException: the name is taken.
    """
    name = request[noun.name_field]
    at = now()
    record = Record(noun.kind, name, arn(services.settings, noun.kind, name), {})
    record.document = only_set(
        {
            noun.name_field: name,
            noun.arn_field: record.arn,
            "DisplayName": name,
            "CreationTime": at,
            "LastModifiedTime": at,
            "CreatedBy": {},
            "LastModifiedBy": {},
            **{field: request[field] for field in noun.fields if request.get(field) is not None},
        }
    )
    try:
        services.store.insert(record, tags(request))
    except AlreadyExists:
        raise ValidationException(
            f"{noun.noun} names must be unique within an AWS account and region. {noun.noun} with name "
            f"({name}) already exists."
        ) from None
    return {noun.arn_field: record.arn}


def get(services: Services, noun: Noun, name_or_arn: str) -> Record:
    """Read a record by its name or ARN.

    Raises:
        ResourceNotFound: there is none.
    """
    is_arn = name_or_arn.startswith("arn:")
    wanted = name_or_arn if is_arn else arn(services.settings, noun.kind, name_or_arn)
    try:
        record = services.store.get_by_arn(wanted)
    except NotFound:
        record = None
    if record is None or record.kind != noun.kind:
        raise ResourceNotFound(f"{noun.noun} '{wanted}' does not exist.")
    return record


def update(
    services: Services,
    noun: Noun,
    request: dict[str, Any],
    more: Callable[[dict[str, Any]], None] = lambda document: None,
) -> dict[str, Any]:
    """Replace what the request has; answers the ARN.

    Args:
        services: The server's parts.
        noun: The kind of record.
        request: The Update request.
        more: Further changes of the document.
    """
    record = get(services, noun, request[noun.name_field])

    def change(record: Record) -> None:
        record.document |= {
            field: request[field] for field in noun.changeable if request.get(field) is not None
        }
        more(record.document)
        record.document["LastModifiedTime"] = now()

    services.store.update(noun.kind, record.name, change)
    return {noun.arn_field: record.arn}


def delete(services: Services, noun: Noun, request: dict[str, Any], users: Sequence[str]) -> dict[str, Any]:
    """Remove a record; answers the ARN.

    Args:
        services: The server's parts.
        noun: The kind of record.
        request: The Delete request.
        users: What still hangs on it.

    Raises:
        ValidationException: something does.
    """
    record = get(services, noun, request[noun.name_field])
    if users:
        raise ValidationException(
            f"{noun.noun} '{record.arn}' cannot be deleted while {', '.join(users)} belong to it: delete or "
            "disassociate them first."
        )
    services.store.delete(noun.kind, record.name)
    return {noun.arn_field: record.arn}


def list_(
    services: Services, noun: Noun, request: dict[str, Any], records: Sequence[Record]
) -> dict[str, Any]:
    """One page of records."""
    renamed = {"CreatedAfter": "CreationTimeAfter", "CreatedBefore": "CreationTimeBefore"}
    fields = (
        noun.name_field, noun.arn_field, "DisplayName", "CreationTime", "LastModifiedTime",
        *noun.summary_fields,
    )  # fmt: skip
    return list_page(
        records,
        {renamed.get(key, key): value for key, value in request.items()},
        name_field=noun.name_field,
        status_field=None,
        summary=lambda record: {
            field: record.document[field] for field in fields if field in record.document
        },
        summaries_field=f"{noun.noun}Summaries",
    )


def trials_of(services: Services, experiment: str) -> list[Record]:
    """The trials of an experiment."""
    name = get(services, EXPERIMENT, experiment).name
    return [each for each in services.store.list(TRIAL.kind) if each.document["ExperimentName"] == name]


def trials_with(services: Services, component: str) -> list[Record]:
    """The trials that a component belongs to."""
    name = get(services, COMPONENT, component).name
    return [each for each in services.store.list(TRIAL.kind) if name in each.private.get("components", [])]
