"""Operations of training jobs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.job import (
    create_job,
    delete_job,
    get_job,
    list_jobs,
    refuse,
    require_one_instance,
    stop_job,
    without,
)
from sagemaker_local.errors import ValidationException
from sagemaker_local.executors.container import OPT_ML
from sagemaker_local.jobs.kinds import TRAINING
from sagemaker_local.jobs.training import CHECKPOINTS
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services

MAX_RUNTIME_DEFAULT_S = 86400

UNSUPPORTED = (
    "DebugHookConfig", "DebugRuleConfigurations", "ProfilerRuleConfigurations", "TensorBoardOutputConfig",
    "ServerlessJobConfig", "MlflowConfig", "ModelPackageConfig",
)  # fmt: skip
"""Members of the request that ask for something which no part of this server does."""


def not_found(name: str) -> ValidationException:
    """AWS's answer for a name that does not exist."""
    return ValidationException("Requested resource not found.")


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateTrainingJob."""
    _check(request)
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


def _check(request: Mapping[str, Any]) -> None:
    refuse({f"{name} of a training job": request.get(name) for name in UNSUPPORTED})
    algorithm = request.get("AlgorithmSpecification")
    if algorithm is None:
        raise ValidationException("AlgorithmSpecification is required for a training job")
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise ValidationException("Exactly one of TrainingImage and AlgorithmName must be given")
    resources = request.get("ResourceConfig")
    if resources is None:
        raise ValidationException("ResourceConfig is required for a training job")
    require_one_instance(
        resources.get("InstanceCount", 1), resources.get("InstanceType", "instance"), "training job"
    )
    checkpoints = request.get("CheckpointConfig", {}).get("LocalPath", CHECKPOINTS)
    refuse(
        {
            "AlgorithmName (algorithms of the Marketplace)": "AlgorithmName" in algorithm,
            "TrainingInputMode Pipe": algorithm["TrainingInputMode"] == "Pipe",
            "InstanceGroups": resources.get("InstanceGroups"),
            f"checkpoints in {checkpoints} (only below {OPT_ML}/)": not checkpoints.startswith(f"{OPT_ML}/"),
            "InstancePreferences": resources.get("InstancePreferences"),
        }
    )
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(set(names)) < len(names):
        raise ValidationException(f"Channel names must be unique, not {', '.join(names)}")
    for channel in request.get("InputDataConfig", []):
        _check_channel(channel)


def _check_channel(channel: Mapping[str, Any]) -> None:
    name = channel["ChannelName"]
    source = channel["DataSource"].get("S3DataSource")
    refuse(
        {
            f"file systems and data sets as input (channel '{name}')": source is None,
            f"InputMode Pipe (channel '{name}')": channel.get("InputMode") == "Pipe",
            f"RecordWrapperType RecordIO (channel '{name}')": channel.get("RecordWrapperType") == "RecordIO",
            f"S3DataType {source and source['S3DataType']} (channel '{name}')": source
            and source["S3DataType"] not in ("S3Prefix", "ManifestFile"),
        }
    )


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeTrainingJob."""
    return get_job(services, TRAINING, request["TrainingJobName"], not_found).document


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListTrainingJobs."""
    return list_jobs(services, TRAINING, request, ("SecondaryStatus",))


async def stop(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """StopTrainingJob."""
    return stop_job(services, TRAINING, request["TrainingJobName"], not_found)


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteTrainingJob."""
    return delete_job(services, TRAINING, request["TrainingJobName"], not_found)


OPERATIONS: Mapping[str, Handler] = {
    "CreateTrainingJob": create,
    "DescribeTrainingJob": describe,
    "ListTrainingJobs": list_,
    "StopTrainingJob": stop,
    "DeleteTrainingJob": delete,
}
