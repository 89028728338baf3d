"""Operations of hyperparameter tuning jobs."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Mapping
from typing import Any

from sagemaker_local import quotas
from sagemaker_local.api.hosting import tags
from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ResourceInUse, ResourceNotFound, ValidationException
from sagemaker_local.names import arn, now
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import AlreadyExists, NotFound, Record
from sagemaker_local.tuning.objective import objective_counters, rank, status_counters
from sagemaker_local.tuning.record import ALIVE, KIND, TuningRecord
from sagemaker_local.tuning.search import OBJECTIVE_HYPERPARAMETER, read_search

DESCRIBED = (
    "HyperParameterTuningJobConfig",
    "TrainingJobDefinition",
    "TrainingJobDefinitions",
)
SUMMARY_FIELDS = (
    "HyperParameterTuningJobName",
    "HyperParameterTuningJobArn",
    "HyperParameterTuningJobStatus",
    "CreationTime",
    "HyperParameterTuningEndTime",
    "LastModifiedTime",
    "TrainingJobStatusCounters",
    "ObjectiveStatusCounters",
)
VALUE_FIELD = "FinalObjectiveMetricValue"


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateHyperParameterTuningJob."""
    name = request["HyperParameterTuningJobName"]
    seed = request["HyperParameterTuningJobConfig"].get("RandomSeed")
    seed = secrets.randbits(31) if seed is None else int(seed)
    kept = {field: copy.deepcopy(request[field]) for field in DESCRIBED if request.get(field)}
    search = read_search(
        kept | {f: request[f] for f in ("Autotune", "WarmStartConfig") if f in request}, seed
    )
    document = copy.deepcopy(kept)
    document["HyperParameterTuningJobConfig"].setdefault("TrainingJobEarlyStoppingType", "Off")
    definitions = document.get("TrainingJobDefinitions") or [document["TrainingJobDefinition"]]
    for definition, space in zip(definitions, search.spaces, strict=True):
        definition.setdefault("StaticHyperParameters", {})[OBJECTIVE_HYPERPARAMETER] = space.objective.metric
    quotas.require_job(services, KIND, name, document)
    at = now()
    job_arn = arn(services.settings, KIND, name)
    document |= {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobArn": job_arn,
        "HyperParameterTuningJobStatus": "InProgress",
        "CreationTime": at,
        "LastModifiedTime": at,
        "TrainingJobStatusCounters": status_counters(()),
        "ObjectiveStatusCounters": objective_counters(()),
    }
    private = {"request": kept, "seed": seed, "children": [], "ended": []}
    try:
        services.store.insert(Record(KIND, name, job_arn, document, private), tags(request))
    except AlreadyExists:
        raise ResourceInUse(
            f"Hyper parameter tuning job names must be unique within an AWS account and region, and one with "
            f"this name already exists ({job_arn})"
        ) from None
    services.tuning.submit(name)
    return {"HyperParameterTuningJobArn": job_arn}


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeHyperParameterTuningJob; the counters are those of this moment."""
    record = get(services, request["HyperParameterTuningJobName"])
    if record.document["HyperParameterTuningJobStatus"] in ALIVE:
        summaries = TuningRecord(services, record.name).summaries()
        record.document["TrainingJobStatusCounters"] = status_counters(summaries)
        record.document["ObjectiveStatusCounters"] = objective_counters(summaries)
    return record.document


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListHyperParameterTuningJobs."""

    def summary(record: Record) -> dict[str, Any]:
        document = record.document
        config = document["HyperParameterTuningJobConfig"]
        entry = {field: document[field] for field in SUMMARY_FIELDS if field in document}
        return entry | {"Strategy": config["Strategy"], "ResourceLimits": config["ResourceLimits"]}

    return list_page(
        services.store.list(KIND),
        request,
        name_field="HyperParameterTuningJobName",
        status_field="HyperParameterTuningJobStatus",
        summary=summary,
        summaries_field="HyperParameterTuningJobSummaries",
        sort_by_default="Name",
        sort_order_default="Ascending",
    )


async def list_training_jobs(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListTrainingJobsForHyperParameterTuningJob.

    Sorted by FinalObjectiveMetricValue, jobs without one are left out, as AWS does.
    """
    job = get(services, request["HyperParameterTuningJobName"])
    summaries = TuningRecord(services, job.name).summaries()
    if request.get("SortBy") == VALUE_FIELD:
        summaries = [each for each in summaries if "FinalHyperParameterTuningJobObjectiveMetric" in each]
    return list_page(
        [Record("training_job", each["TrainingJobName"], "", _sortable(each)) for each in summaries],
        request,
        name_field="TrainingJobName",
        status_field="TrainingJobStatus",
        summary=lambda record: {key: value for key, value in record.document.items() if key != VALUE_FIELD},
        summaries_field="TrainingJobSummaries",
        sort_by_default="Name",
        sort_order_default="Ascending",
    )


def _sortable(summary: Mapping[str, Any]) -> dict[str, Any]:
    metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
    return {**summary, VALUE_FIELD: metric["Value"]} if metric else dict(summary)


def best_first(services: Services, name: str) -> list[dict[str, Any]]:
    """The training jobs of a tuning job, best first; those without an objective metric last."""
    summaries = TuningRecord(services, name).summaries()
    metric = "FinalHyperParameterTuningJobObjectiveMetric"
    return sorted(summaries, key=lambda each: rank(each[metric]) if metric in each else float("inf"))


async def stop(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """StopHyperParameterTuningJob: also its training jobs."""
    record = get(services, request["HyperParameterTuningJobName"])
    status = record.document["HyperParameterTuningJobStatus"]
    if status not in ALIVE:
        raise ValidationException(
            f"The request was rejected because the hyper parameter tuning job is in status {status}."
        )
    services.tuning.stop(record.name)
    return {}


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteHyperParameterTuningJob: its record; the training jobs stay. No error if it is not there."""
    try:
        record = get(services, request["HyperParameterTuningJobName"])
    except ResourceNotFound:
        return {}
    status = record.document["HyperParameterTuningJobStatus"]
    if status in ALIVE:
        raise ResourceInUse(
            f"The hyper parameter tuning job '{record.name}' is in status {status}; stop it before you "
            "delete it"
        )
    services.store.delete(KIND, record.name)
    return {}


def get(services: Services, name: str) -> Record:
    """Read a tuning job.

    Raises:
        ResourceNotFound: there is none of that name.
    """
    try:
        return services.store.get(KIND, name)
    except NotFound:
        raise ResourceNotFound(
            f"Hyper parameter tuning job not found: {arn(services.settings, KIND, name)}"
        ) from None


OPERATIONS: Mapping[str, Handler] = {
    "CreateHyperParameterTuningJob": create,
    "DescribeHyperParameterTuningJob": describe,
    "ListHyperParameterTuningJobs": list_,
    "ListTrainingJobsForHyperParameterTuningJob": list_training_jobs,
    "StopHyperParameterTuningJob": stop,
    "DeleteHyperParameterTuningJob": delete,
}
