"""Operations of compilation jobs (Neo)."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Mapping
from typing import Any

from sagemaker_local.api.job import create_job, delete_job, get_job, list_jobs, refuse, stop_job, without
from sagemaker_local.errors import ResourceNotFound, ValidationException
from sagemaker_local.jobs.kinds import COMPILATION
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services

MAX_RUNTIME_DEFAULT_S = 900


def not_found(name: str) -> ResourceNotFound:
    """The answer for a name that does not exist."""
    return ResourceNotFound(f"Compilation job {name} does not exist.")


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateCompilationJob."""
    refuse({"ModelPackageVersionArn of a compilation job": request.get("ModelPackageVersionArn")})
    if "InputConfig" not in request:
        raise ValidationException("InputConfig is required for a compilation job")
    output = request["OutputConfig"]
    if ("TargetDevice" in output) == ("TargetPlatform" in output):
        raise ValidationException(
            "Exactly one of TargetDevice and TargetPlatform must be given in OutputConfig"
        )
    if not request["InputConfig"].get("DataInputConfig"):
        raise ValidationException(
            'DataInputConfig is required: the names and shapes of inputs, such as {"input": [1, 64]}'
        )
    document = copy.deepcopy(without(request))
    document["StoppingCondition"].setdefault("MaxRuntimeInSeconds", MAX_RUNTIME_DEFAULT_S)
    # AWS answers these two from the start; its clients count on their being there.
    document["FailureReason"] = ""
    document["ModelArtifacts"] = {"S3ModelArtifacts": artefact_uri(request["InputConfig"]["S3Uri"], output)}
    return create_job(services, COMPILATION, request, document)


def artefact_uri(model_uri: str, output: Mapping[str, Any]) -> str:
    """``<location>/<model's file name>-<target>.tar.gz``, as Neo names its results.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/neo-job-compilation-cli.html
    """
    name = posixpath.basename(model_uri)
    for ending in (".tar.gz", ".tgz", ".tar"):
        name = name.removesuffix(ending)
    return f"{output['S3OutputLocation'].rstrip('/')}/{name}-{target(output)}.tar.gz"


def target(output: Mapping[str, Any]) -> str:
    """``ml_c5``, or ``LINUX_X86_64`` with ``_NVIDIA`` when there is an accelerator."""
    if "TargetDevice" in output:
        return str(output["TargetDevice"])
    platform = output["TargetPlatform"]
    return "_".join(platform[part] for part in ("Os", "Arch", "Accelerator") if part in platform)


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeCompilationJob."""
    return get_job(services, COMPILATION, request["CompilationJobName"], not_found).document


def _summary(document: Mapping[str, Any]) -> dict[str, Any]:
    output = document["OutputConfig"]
    summary = {"CompilationTargetDevice": output["TargetDevice"]} if "TargetDevice" in output else {}
    platform = output.get("TargetPlatform", {})
    return summary | {f"CompilationTargetPlatform{part}": value for part, value in platform.items()}


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListCompilationJobs."""
    return list_jobs(services, COMPILATION, request, ("CompilationStartTime",), _summary)


async def stop(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """StopCompilationJob."""
    return stop_job(services, COMPILATION, request["CompilationJobName"], not_found)


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteCompilationJob."""
    return delete_job(services, COMPILATION, request["CompilationJobName"], not_found)


OPERATIONS: Mapping[str, Handler] = {
    "CreateCompilationJob": create,
    "DescribeCompilationJob": describe,
    "ListCompilationJobs": list_,
    "StopCompilationJob": stop,
    "DeleteCompilationJob": delete,
}
