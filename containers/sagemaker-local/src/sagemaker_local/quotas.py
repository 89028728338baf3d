"""How many instances of a type the account may use at once, for each kind of use: AWS's service quotas.

Without any (the default) nothing is refused. A quota counts what its jobs or endpoints hold until they are
over: stopping jobs hold their instances too. A tuning job reserves what its training jobs may use side by
side, so they are never refused. Names and texts are AWS's:
https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sagemaker_local.errors import ResourceLimitExceeded
from sagemaker_local.store import NotFound, Record

if TYPE_CHECKING:
    from sagemaker_local.services import Services

TRAINING = "training job usage"
SPOT_TRAINING = "spot training job usage"
PROCESSING = "processing job usage"
TRANSFORM = "transform job usage"
ENDPOINT = "endpoint usage"
USAGES = (TRAINING, SPOT_TRAINING, PROCESSING, TRANSFORM, ENDPOINT)

OPTION = re.compile(rf"(?P<type>ml\.[a-z0-9.-]+)( for (?P<usage>{'|'.join(USAGES)}))?=(?P<count>\d+)")

TUNING = "hyper_parameter_tuning_job"
OVER = frozenset({"Completed", "Failed", "Stopped", "Deleting"})

Instances = Counter[str]
"""How many instances something uses, by the name of the quota that counts them."""


def parse(options: Iterable[str]) -> dict[str, int]:
    """The quotas by AWS's names; a type without a usage stands for each of them.

    Raises:
        ValueError: an option is not ``TYPE=COUNT`` or ``TYPE for USAGE=COUNT``.
    """
    quotas: dict[str, int] = {}
    for option in options:
        given = OPTION.fullmatch(option)
        if given is None:
            raise ValueError(
                f"'{option}' is no quota: write ml.m5.large=2, or 'ml.m5.large for {TRAINING}=2' "
                f"(also {', '.join(USAGES[1:])})"
            )
        for usage in (given["usage"],) if given["usage"] else USAGES:
            quotas[f"{given['type']} for {usage}"] = int(given["count"])
    return quotas


def require_job(services: Services, kind: str, name: str, document: Mapping[str, Any]) -> None:
    """Refuse a job whose instances the quotas do not leave room for.

    A name that is in use is left to be refused for that: a client that lost the answer to its first request
    must find its job, not a lack of quota that this very job makes.

    Raises:
        ResourceLimitExceeded: in AWS's words.
    """
    if not services.settings.quotas or kind not in OF_A_JOB or _exists(services, kind, name):
        return
    if kind == "training_job" and name in _children(services):
        return
    _require(services, OF_A_JOB[kind](document))


def require_endpoint(services: Services, name: str, variants: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a new endpoint whose instances the quotas do not leave room for.

    Raises:
        ResourceLimitExceeded: in AWS's words.
    """
    if services.settings.quotas and not _exists(services, "endpoint", name):
        _require(services, _of_variants(variants))


def _require(services: Services, wanted: Instances) -> None:
    used = in_use(services)
    for name, count in wanted.items():
        quota = services.settings.quotas.get(name)
        if quota is not None and used[name] + count > quota:
            raise ResourceLimitExceeded(
                f"The account-level service limit '{name}' is {quota} Instances, with current utilization of "
                f"{used[name]} Instances and a request delta of {count} Instances. Please use AWS Service "
                "Quotas to request an increase for this quota. If AWS Service Quotas is not available, "
                "contact AWS support to request an increase for this quota."
            )


def in_use(services: Services) -> Instances:
    """What all jobs and endpoints hold now."""
    used: Instances = Counter()
    children = _children(services)
    for kind, instances in OF_A_JOB.items():
        for record in services.store.list(kind):
            if _is_over(record) or (kind == "training_job" and record.name in children):
                continue
            used += instances(record.document)
    for endpoint in services.store.list("endpoint"):
        if not _is_over(endpoint):
            used += _of_variants(endpoint.private["fleet"]["variants"])
    return used


def _is_over(record: Record) -> bool:
    (status,) = [value for key, value in record.document.items() if key in STATUS_FIELDS]
    return status in OVER


def _exists(services: Services, kind: str, name: str) -> bool:
    try:
        services.store.get(kind, name)
    except NotFound:
        return False
    return True


def _children(services: Services) -> frozenset[str]:
    """The training jobs of tuning jobs, planned ones too."""
    return frozenset(
        child["name"] for tuning in services.store.list(TUNING) for child in tuning.private["children"]
    )


def _of_training(document: Mapping[str, Any]) -> Instances:
    usage = SPOT_TRAINING if document.get("EnableManagedSpotTraining") else TRAINING
    cluster = document.get("ResourceConfig", {})
    groups = cluster.get("InstanceGroups") or [cluster]
    counted: Instances = Counter()
    for group in groups:
        counted[f"{group.get('InstanceType')} for {usage}"] += int(group.get("InstanceCount", 1))
    return counted


def _of_processing(document: Mapping[str, Any]) -> Instances:
    cluster = document["ProcessingResources"]["ClusterConfig"]
    return Counter({f"{cluster.get('InstanceType')} for {PROCESSING}": int(cluster.get("InstanceCount", 1))})


def _of_transform(document: Mapping[str, Any]) -> Instances:
    cluster = document["TransformResources"]
    return Counter({f"{cluster['InstanceType']} for {TRANSFORM}": int(cluster["InstanceCount"])})


def _of_tuning(document: Mapping[str, Any]) -> Instances:
    """What its training jobs may use side by side, of the most demanding definition of each type."""
    parallel = int(
        document["HyperParameterTuningJobConfig"]["ResourceLimits"].get("MaxParallelTrainingJobs", 1)
    )
    definitions = document.get("TrainingJobDefinitions") or [document["TrainingJobDefinition"]]
    most: Instances = Counter()
    for definition in definitions:
        if "ResourceConfig" in definition:
            most |= _of_training(definition)
    return Counter({name: count * parallel for name, count in most.items()})


def _of_variants(variants: Iterable[Mapping[str, Any]]) -> Instances:
    counted: Instances = Counter()
    for variant in variants:
        if variant.get("instance_type") and not variant.get("serverless"):
            counted[f"{variant['instance_type']} for {ENDPOINT}"] += int(variant["instances"])
    return counted


OF_A_JOB = {
    "training_job": _of_training,
    "processing_job": _of_processing,
    "transform_job": _of_transform,
    TUNING: _of_tuning,
}
STATUS_FIELDS = frozenset(
    {
        "TrainingJobStatus",
        "ProcessingJobStatus",
        "TransformJobStatus",
        "HyperParameterTuningJobStatus",
        "EndpointStatus",
    }
)
