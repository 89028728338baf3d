"""Operations of processing jobs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.job import (
    check_instance_count,
    create_job,
    delete_job,
    get_job,
    list_jobs,
    refuse,
    stop_job,
    without,
)
from sagemaker_local.errors import ValidationException
from sagemaker_local.jobs.kinds import PROCESSING
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services

BASE = "/opt/ml/processing"
MAX_RUNTIME_DEFAULT_S = 86400


def not_found(name: str) -> ValidationException:
    """AWS's answer for a name that does not exist."""
    return ValidationException(f"Could not find requested job with name: {name}")


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateProcessingJob."""
    cluster = request["ProcessingResources"]["ClusterConfig"]
    count = cluster.get("InstanceCount", 1)
    check_instance_count(count, cluster.get("InstanceType", "instance"), "processing job")
    refuse({"InstancePreferences of a processing job": cluster.get("InstancePreferences")})
    document = copy.deepcopy(without(request))
    document.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": MAX_RUNTIME_DEFAULT_S})
    for source in document.get("ProcessingInputs", []):
        _check_input(source)
        source.setdefault("AppManaged", False)
    for output in document.get("ProcessingOutputConfig", {}).get("Outputs", []):
        _check_output(output)
        output.setdefault("AppManaged", False)
    return create_job(services, PROCESSING, request, document)


def _check_input(source: Mapping[str, Any]) -> None:
    name = source["InputName"]
    refuse({f"DatasetDefinition (input '{name}')": source.get("DatasetDefinition")})
    given = source.get("S3Input")
    if given is None:
        raise ValidationException(f"Processing input '{name}' must have an S3Input or a DatasetDefinition")
    refuse({f"S3InputMode Pipe (input '{name}')": given.get("S3InputMode") == "Pipe"})
    if given.get("S3CompressionType") == "Gzip":
        raise ValidationException(f"Processing input '{name}': S3CompressionType Gzip needs S3InputMode Pipe")
    _check_path(name, given.get("LocalPath"))


def _check_output(output: Mapping[str, Any]) -> None:
    name = output["OutputName"]
    refuse({f"FeatureStoreOutput (output '{name}')": output.get("FeatureStoreOutput")})
    given = output.get("S3Output")
    if given is None:
        raise ValidationException(f"Processing output '{name}' must have an S3Output")
    _check_path(name, given.get("LocalPath"))


def _check_path(name: str, path: str | None) -> None:
    if path is None or (path != BASE and not path.startswith(f"{BASE}/")) or ".." in path.split("/"):
        raise ValidationException(f"LocalPath '{path}' of '{name}' is invalid: it must be below {BASE}")


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeProcessingJob."""
    return get_job(services, PROCESSING, request["ProcessingJobName"], not_found).document


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListProcessingJobs."""
    return list_jobs(services, PROCESSING, request, ("FailureReason", "ExitMessage"))


async def stop(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """StopProcessingJob."""
    return stop_job(services, PROCESSING, request["ProcessingJobName"], not_found)


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteProcessingJob."""
    return delete_job(services, PROCESSING, request["ProcessingJobName"], not_found)


OPERATIONS: Mapping[str, Handler] = {
    "CreateProcessingJob": create,
    "DescribeProcessingJob": describe,
    "ListProcessingJobs": list_,
    "StopProcessingJob": stop,
    "DeleteProcessingJob": delete,
}
