"""Search: resources of one kind by their properties, tags and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, StructureShape

from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ValidationException
from sagemaker_local.protocol import Handler, service_model
from sagemaker_local.searching.expression import fits, values
from sagemaker_local.services import Services
from sagemaker_local.store import Record

RESOURCES: Mapping[str, tuple[str, str]] = {
    "TrainingJob": ("training_job", "TrainingJob"),
    "HyperParameterTuningJob": ("hyper_parameter_tuning_job", "HyperParameterTuningJob"),
    "Endpoint": ("endpoint", "Endpoint"),
    "ModelPackage": ("model_package", "ModelPackage"),
    "ModelPackageGroup": ("model_package_group", "ModelPackageGroup"),
    "Pipeline": ("pipeline", "Pipeline"),
    "PipelineExecution": ("pipeline_execution", "PipelineExecution"),
    "Experiment": ("experiment", "Experiment"),
    "ExperimentTrial": ("trial", "Trial"),
    "ExperimentTrialComponent": ("trial_component", "TrialComponent"),
}
"""Resource of the request → the store's kind, and the member of the answer that holds it."""

SORT_FIELD = "SortKey"


async def search(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """Search, the newest change first unless asked otherwise."""
    resource = request["Resource"]
    if resource not in RESOURCES:
        raise ValidationException(
            f"The local SageMaker does not support Search for {resource}; it searches {', '.join(RESOURCES)}"
        )
    if request.get("CrossAccountFilterOption") == "CrossAccount" or request.get("VisibilityConditions"):
        raise ValidationException("The local SageMaker does not support Search across accounts")
    kind, member = RESOURCES[resource]
    found = [_found(services, record, member) for record in services.store.list(kind)]
    found = [each for each in found if fits(request.get("SearchExpression", {}), each.document[member])]
    path = request.get("SortBy", "LastModifiedTime")
    for each in found:
        times = (each.document[member].get("CreationTime", 0.0),)
        each.document[SORT_FIELD] = next(values(each.document[member], path), None) or times[0]
    paging: dict[str, Any] = {
        key: request[key] for key in ("SortOrder", "NextToken", "MaxResults") if key in request
    }
    answer = list_page(
        found,
        paging,
        name_field=SORT_FIELD,
        status_field=None,
        summary=lambda record: {member: record.document[member]},
        summaries_field="Results",
        sort_by_default=SORT_FIELD,
    )
    return answer | {"TotalHits": {"Value": len(found), "Relation": "EqualTo"}}


def _found(services: Services, record: Record, member: str) -> Record:
    """A resource with the members that Search tells of its kind, and its tags."""
    results = service_model("sagemaker").operation_model("Search").output_shape
    assert results is not None
    entries = results.members["Results"]
    assert isinstance(entries, ListShape)
    assert isinstance(entries.member, StructureShape)
    shape = entries.member.members[member]
    assert isinstance(shape, StructureShape)
    document = {name: record.document[name] for name in shape.members if name in record.document}
    if tags := services.store.tags(record.arn):
        document["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return Record(record.kind, record.arn, record.arn, {member: document})


OPERATIONS: Mapping[str, Handler] = {"Search": search}
