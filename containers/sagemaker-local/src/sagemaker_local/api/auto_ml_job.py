"""Operations of AutoML jobs (Autopilot, the first version of its API)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.hosting import only_set, refuse, tags
from sagemaker_local.api.listing import list_page
from sagemaker_local.automl.engine import ALIVE, KIND
from sagemaker_local.automl.problem import METRICS
from sagemaker_local.errors import ResourceInUse, ResourceNotFound, ValidationException
from sagemaker_local.names import arn, now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import AlreadyExists, NotFound, Record

CONFIG = ("CompletionCriteria", "DataSplitConfig")
CONTENT_TYPES = ("text/csv;header=present", "text/csv")


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateAutoMLJob."""
    _check(request)
    name = request["AutoMLJobName"]
    record = Record(KIND, name, arn(services.settings, KIND, name), {})
    record.document = only_set(
        {
            "AutoMLJobName": name,
            "AutoMLJobArn": record.arn,
            **{field: value for field, value in request.items() if field != "Tags"},
            "CreationTime": now(),
            "LastModifiedTime": now(),
            "AutoMLJobStatus": "InProgress",
            "AutoMLJobSecondaryStatus": "Starting",
            "GenerateCandidateDefinitionsOnly": False,
        }
    )
    try:
        services.store.insert(record, tags(request))
    except AlreadyExists:
        raise ResourceInUse(f"AutoML Job name must be unique within an AWS account: {name}") from None
    services.automl.submit(name)
    return {"AutoMLJobArn": record.arn}


def _check(request: dict[str, Any]) -> None:
    """Refuse what could not be carried out as asked.

    Raises:
        ValidationException: says which field.
    """
    refuse(request, ("GenerateCandidateDefinitionsOnly",), "an AutoML job")
    config = request.get("AutoMLJobConfig", {})
    refuse(config, [field for field in config if field not in CONFIG and field != "Mode"], "AutoMLJobConfig")
    if config.get("Mode") == "ENSEMBLING":
        raise ValidationException("The local SageMaker does not serve Mode ENSEMBLING; leave it out")
    channels = request["InputDataConfig"]
    kinds = [channel.get("ChannelType", "training") for channel in channels]
    if sorted(kinds) not in (["training"], ["training", "validation"]):
        raise ValidationException(
            "InputDataConfig must have one training channel and may have one validation channel; it has "
            f"{', '.join(kinds)}"
        )
    for channel in channels:
        refuse(channel, ("SampleWeightAttributeName",), "an AutoML channel")
        if channel.get("ContentType", CONTENT_TYPES[0]) not in CONTENT_TYPES:
            raise ValidationException(
                f"The local SageMaker reads AutoML data of {' or '.join(CONTENT_TYPES)}, with a header; not "
                f"of {channel['ContentType']}"
            )
        if "S3DataSource" not in channel.get("DataSource", {}):
            raise ValidationException("Every channel of InputDataConfig needs DataSource.S3DataSource")
    metric, problem = request.get("AutoMLJobObjective", {}).get("MetricName"), request.get("ProblemType")
    if metric and not problem:
        raise ValidationException("AutoMLJobObjective needs ProblemType; give both or neither")
    if metric and problem and metric not in METRICS[problem]:
        raise ValidationException(
            f"The local SageMaker does not serve the objective {metric} of {problem}; choose one of "
            f"{', '.join(METRICS[problem])}"
        )
    deploy = request.get("ModelDeployConfig", {})
    if deploy.get("AutoGenerateEndpointName") and deploy.get("EndpointName"):
        raise ValidationException(
            "ModelDeployConfig takes AutoGenerateEndpointName or EndpointName, not both"
        )


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeAutoMLJob."""
    document = dict(_get(services, request["AutoMLJobName"]).document)
    if best := services.automl.best(request["AutoMLJobName"]):
        document["BestCandidate"] = best
    return document


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListAutoMLJobs."""
    fields = ("AutoMLJobName", "AutoMLJobArn", "AutoMLJobStatus", "AutoMLJobSecondaryStatus", "CreationTime",
              "EndTime", "LastModifiedTime", "FailureReason")  # fmt: skip
    return list_page(
        services.store.list(KIND),
        request,
        name_field="AutoMLJobName",
        status_field="AutoMLJobStatus",
        summary=lambda record: only_set({field: record.document.get(field) for field in fields}),
        summaries_field="AutoMLJobSummaries",
        sort_by_default="Name",
    )


async def list_candidates(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListCandidatesForAutoMLJob."""
    name = request["AutoMLJobName"]
    _get(services, name)
    wanted = request.get("CandidateNameEquals")
    records = [
        Record("candidate", each["CandidateName"], "", _sortable(each))
        for each in services.automl.candidates(name)
        if wanted in (None, each["CandidateName"])
    ]
    return list_page(
        records,
        {name: value for name, value in request.items() if name != "AutoMLJobName"},
        name_field="CandidateName",
        status_field="CandidateStatus",
        summary=lambda record: {
            field: value for field, value in record.document.items() if field != "FinalObjectiveMetricValue"
        },
        summaries_field="Candidates",
    )


def _sortable(candidate: dict[str, Any]) -> dict[str, Any]:
    value = candidate.get("FinalAutoMLJobObjectiveMetric", {}).get("Value", 0.0)
    return {**candidate, "FinalObjectiveMetricValue": value}


async def stop(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """StopAutoMLJob."""
    name = request["AutoMLJobName"]
    if _get(services, name).document["AutoMLJobStatus"] in ALIVE:
        services.automl.stop(name)
    return {}


def _get(services: Services, name: str) -> Record:
    try:
        return services.store.get(KIND, name)
    except NotFound:
        raise ResourceNotFound(f"AutoML Job with name {name} does not exist") from None


OPERATIONS: Mapping[str, Handler] = {
    "CreateAutoMLJob": create,
    "DescribeAutoMLJob": describe,
    "ListAutoMLJobs": list_,
    "ListCandidatesForAutoMLJob": list_candidates,
    "StopAutoMLJob": stop,
}
