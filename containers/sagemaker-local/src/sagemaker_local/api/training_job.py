"""Operations of training jobs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.job import create_job, delete_job, get_job, list_jobs, stop_job, without
from sagemaker_local.api.training_request import check
from sagemaker_local.errors import ValidationException
from sagemaker_local.jobs.kinds import TRAINING
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import Record

MAX_RUNTIME_DEFAULT_S = 86400


def not_found(name: str) -> ValidationException:
    """AWS's answer for a name that does not exist."""
    return ValidationException("Requested resource not found.")


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateTrainingJob."""
    check(request)
    document = copy.deepcopy(without(request))
    document.setdefault("HyperParameters", {})
    document.setdefault("StoppingCondition", {}).setdefault("MaxRuntimeInSeconds", MAX_RUNTIME_DEFAULT_S)
    document["OutputDataConfig"].setdefault("CompressionType", "GZIP")
    document["OutputDataConfig"].setdefault("KmsKeyId", "")
    for switch in (
        "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption",
        "EnableManagedSpotTraining",
    ):
        document.setdefault(switch, False)
    document["AlgorithmSpecification"].setdefault("EnableSageMakerMetricsTimeSeries", False)
    if "ProfilerConfig" in document:
        disabled = document["ProfilerConfig"].get("DisableProfiler", False)
        document["ProfilingStatus"] = "Disabled" if disabled else "Enabled"
    for channel in document.get("InputDataConfig", []):
        channel["DataSource"]["S3DataSource"].setdefault("S3DataDistributionType", "FullyReplicated")
        channel.setdefault("CompressionType", "None")
        channel.setdefault("RecordWrapperType", "None")
    output = document["OutputDataConfig"]
    packed = output["CompressionType"] == "GZIP"
    artefact = "model.tar.gz" if packed else "model/"
    location = f"{output['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/output/{artefact}"
    document["ModelArtifacts"] = {"S3ModelArtifacts": location}
    return create_job(services, TRAINING, request, document)


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeTrainingJob."""
    return get_job(services, TRAINING, request["TrainingJobName"], not_found).document


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListTrainingJobs."""
    fields = ("SecondaryStatus", "WarmPoolStatus")
    if (wanted := request.get("WarmPoolStatusEquals")) is None:
        return list_jobs(services, TRAINING, request, fields)
    return list_jobs(
        services,
        TRAINING,
        request,
        fields,
        keep=lambda document: document.get("WarmPoolStatus", {}).get("Status") == wanted,
    )


async def update(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateTrainingJob: how long the warm pool is kept, and what profiles.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateTrainingJob.html
    """
    name = request["TrainingJobName"]
    document = get_job(services, TRAINING, name, not_found).document
    alive = document["TrainingJobStatus"] in TRAINING.statuses.alive
    if request.get("ProfilerRuleConfigurations") or request.get("RemoteDebugConfig", {}).get(
        "EnableRemoteDebug"
    ):
        raise ValidationException(
            "The local SageMaker does not support ProfilerRuleConfigurations and RemoteDebugConfig of a "
            "training job"
        )
    if "ProfilerConfig" in request and not alive:
        raise ValidationException(
            f"The profiler of training job '{name}' cannot be changed: the job is in status "
            f"{document['TrainingJobStatus']}"
        )
    pool = document.get("WarmPoolStatus", {}).get("Status")
    if "ResourceConfig" in request and pool not in ("InUse", "Available"):
        raise ValidationException(
            f"KeepAlivePeriodInSeconds of training job '{name}' cannot be changed: its warm pool is "
            f"{pool or 'not there'}"
        )

    def change(record: Record) -> None:
        if "ResourceConfig" in request:
            record.document["ResourceConfig"] |= request["ResourceConfig"]
        if "ProfilerConfig" in request:
            record.document.setdefault("ProfilerConfig", {}).update(request["ProfilerConfig"])
            disabled = record.document["ProfilerConfig"].get("DisableProfiler", False)
            record.document["ProfilingStatus"] = "Disabled" if disabled else "Enabled"

    services.store.update(TRAINING.kind, name, change)
    if "ResourceConfig" in request:
        services.jobs.warm_pools.update(name)
    return {"TrainingJobArn": document["TrainingJobArn"]}


async def stop(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """StopTrainingJob."""
    return stop_job(services, TRAINING, request["TrainingJobName"], not_found)


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteTrainingJob; instances of it that are kept warm must be given back first, as on AWS.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteTrainingJob.html
    """
    name = request["TrainingJobName"]
    status = get_job(services, TRAINING, name, not_found).document.get("WarmPoolStatus", {}).get("Status")
    if status == "Available":
        raise ValidationException(
            f"The training job '{name}' has a warm pool in status {status}: end it with UpdateTrainingJob "
            "and KeepAlivePeriodInSeconds 0, or wait, before you delete the job"
        )
    return delete_job(services, TRAINING, name, not_found)


OPERATIONS: Mapping[str, Handler] = {
    "CreateTrainingJob": create,
    "DescribeTrainingJob": describe,
    "ListTrainingJobs": list_,
    "UpdateTrainingJob": update,
    "StopTrainingJob": stop,
    "DeleteTrainingJob": delete,
}
