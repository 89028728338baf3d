"""What a CreateTrainingJob request must hold beyond its shapes, and what of it nothing here does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local import limits
from sagemaker_local.api.job import check_instance_count, refuse
from sagemaker_local.errors import ValidationException
from sagemaker_local.executors.container import OPT_ML
from sagemaker_local.jobs.training import SYNCHRONISED

UNSUPPORTED = (
    "DebugRuleConfigurations", "ProfilerRuleConfigurations", "ServerlessJobConfig", "MlflowConfig",
    "ModelPackageConfig",
)  # fmt: skip
"""Members of the request that ask for something which no part of this server does."""


def check(request: Mapping[str, Any]) -> None:
    """Refuse a training job that AWS would, or that cannot be run here.

    Raises:
        ValidationException: says what is wrong or not supported.
    """
    refuse({f"{name} of a training job": request.get(name) for name in UNSUPPORTED})
    algorithm = request.get("AlgorithmSpecification")
    if algorithm is None:
        raise ValidationException("AlgorithmSpecification is required for a training job")
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise ValidationException("Exactly one of TrainingImage and AlgorithmName must be given")
    refuse(
        {
            "AlgorithmName (algorithms of the Marketplace)": "AlgorithmName" in algorithm,
            "TrainingInputMode Pipe": algorithm["TrainingInputMode"] == "Pipe",
            "RemoteDebugConfig": request.get("RemoteDebugConfig", {}).get("EnableRemoteDebug"),
        }
    )
    _check_image_access(request, algorithm)
    _check_resources(request)
    _check_waiting(request)
    for member, _, default in SYNCHRONISED:
        path = request.get(member, {}).get("LocalPath", default)
        words = "checkpoints" if member == "CheckpointConfig" else f"{member}'s files"
        inside = path.startswith(f"{OPT_ML}/") and ".." not in path.split("/")
        refuse({f"{words} in {path} (only below {OPT_ML}/)": not inside})
    _check_channels(request)


def _check_image_access(request: Mapping[str, Any], algorithm: Mapping[str, Any]) -> None:
    access = algorithm.get("TrainingImageConfig", {}).get("TrainingRepositoryAccessMode")
    if access == "Vpc" and "VpcConfig" not in request:
        raise ValidationException("TrainingRepositoryAccessMode Vpc needs a VpcConfig")


def _check_resources(request: Mapping[str, Any]) -> None:
    resources = request.get("ResourceConfig")
    if resources is None:
        raise ValidationException("ResourceConfig is required for a training job")
    refuse(
        {
            "InstancePreferences": resources.get("InstancePreferences"),
            "TrainingPlanArn": resources.get("TrainingPlanArn"),
            "InstancePlacementConfig": resources.get("InstancePlacementConfig"),
        }
    )
    groups = resources.get("InstanceGroups")
    if groups:
        if "InstanceType" in resources or "InstanceCount" in resources:
            raise ValidationException(
                "InstanceGroups cannot be given together with InstanceType and InstanceCount"
            )
        names = [group["InstanceGroupName"] for group in groups]
        if len(set(names)) < len(names):
            raise ValidationException(f"Instance group names must be unique, not {', '.join(names)}")
    count = sum(group["InstanceCount"] for group in groups or [{"InstanceCount": 1}])
    if not groups:
        count = resources.get("InstanceCount", 1)
    check_instance_count(count, resources.get("InstanceType", "instance"), "training job")
    if resources.get("KeepAlivePeriodInSeconds"):
        _check_warm_pool(request, resources)


def _check_warm_pool(request: Mapping[str, Any], resources: Mapping[str, Any]) -> None:
    """What goes with a warm pool.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html, considerations
    """
    for what, given in (
        ("managed spot training", request.get("EnableManagedSpotTraining")),
        ("heterogeneous clusters (InstanceGroups)", resources.get("InstanceGroups")),
    ):
        if given:
            raise ValidationException(f"KeepAlivePeriodInSeconds is not supported with {what}")
    if resources["KeepAlivePeriodInSeconds"] > limits.KEEP_ALIVE_MOST_S:
        raise ValidationException(
            f"KeepAlivePeriodInSeconds must be at most {limits.KEEP_ALIVE_MOST_S}, not "
            f"{resources['KeepAlivePeriodInSeconds']}"
        )


def _check_waiting(request: Mapping[str, Any]) -> None:
    """How long a job may wait for spot instances.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html
    """
    condition = request.get("StoppingCondition", {})
    spot = request.get("EnableManagedSpotTraining", False)
    wait = condition.get("MaxWaitTimeInSeconds")
    if spot and (wait is None or wait < condition.get("MaxRuntimeInSeconds", 0)):
        raise ValidationException(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
            "MaxRuntimeInSeconds"
        )
    if not spot and wait is not None:
        raise ValidationException(
            "Invalid MaxWaitTimeInSeconds. It must not be present unless EnableManagedSpotTraining is true"
        )


def _check_channels(request: Mapping[str, Any]) -> None:
    channels = request.get("InputDataConfig", [])
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) < len(names):
        raise ValidationException(f"Channel names must be unique, not {', '.join(names)}")
    groups = {
        group["InstanceGroupName"] for group in request.get("ResourceConfig", {}).get("InstanceGroups") or []
    }
    for channel in channels:
        _check_channel(channel, request["AlgorithmSpecification"]["TrainingInputMode"])
        source = channel["DataSource"]["S3DataSource"]
        if missing := set(source.get("InstanceGroupNames", [])) - groups:
            raise ValidationException(
                f"Channel '{channel['ChannelName']}' names instance groups that ResourceConfig does not "
                f"have: {', '.join(sorted(missing))}"
            )


def _check_channel(channel: Mapping[str, Any], default_mode: str) -> None:
    name = channel["ChannelName"]
    source = channel["DataSource"].get("S3DataSource")
    mode = channel.get("InputMode", default_mode)
    refuse(
        {
            f"file systems and data sets as input (channel '{name}')": source is None,
            f"InputMode Pipe (channel '{name}')": mode == "Pipe",
            f"RecordWrapperType RecordIO (channel '{name}')": channel.get("RecordWrapperType") == "RecordIO",
            f"S3DataType {source and source['S3DataType']} (channel '{name}')": source
            and source["S3DataType"] not in ("S3Prefix", "ManifestFile"),
            f"HubAccessConfig and ModelAccessConfig (channel '{name}')": source
            and (source.get("HubAccessConfig") or source.get("ModelAccessConfig")),
        }
    )
    if mode == "FastFile" and channel.get("CompressionType") == "Gzip":
        raise ValidationException(
            f"CompressionType Gzip is not supported in FastFile mode (channel '{name}'): the program reads "
            "the objects as they are"
        )
