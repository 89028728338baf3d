"""The kinds of step as data: which operation each calls, and where its outcome is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepKind:
    """A kind of step that creates a resource.

    Attributes:
        operation: What it calls.
        record_kind: The store's kind of what is created.
        name_field: The request's field for the name; empty where AWS names it.
        metadata: The member of the step's Metadata that holds the ARN.
        status_field: The record's field that says how it goes; empty when it is there at once.
        completed: The status that means success.
        failed: Statuses that mean failure.
        stopped: Statuses that mean that it was stopped.
        is_cacheable: CacheConfig is heeded.
    """

    operation: str
    record_kind: str
    name_field: str
    metadata: str
    status_field: str = ""
    completed: str = "Completed"
    failed: frozenset[str] = frozenset({"Failed"})
    stopped: frozenset[str] = frozenset({"Stopped"})
    is_cacheable: bool = True


def _job(noun: str, record_kind: str, metadata: str) -> StepKind:
    return StepKind(f"Create{noun}", record_kind, f"{noun}Name", metadata, f"{noun}Status")


KINDS: Mapping[str, StepKind] = {
    "Processing": _job("ProcessingJob", "processing_job", "ProcessingJob"),
    "Training": _job("TrainingJob", "training_job", "TrainingJob"),
    "Transform": _job("TransformJob", "transform_job", "TransformJob"),
    "Tuning": _job("HyperParameterTuningJob", "hyper_parameter_tuning_job", "TuningJob"),
    "Model": StepKind("CreateModel", "model", "ModelName", "Model", is_cacheable=False),
    "CreateModel": StepKind("CreateModel", "model", "ModelName", "Model", is_cacheable=False),
    "RegisterModel": StepKind("CreateModelPackage", "model_package", "", "RegisterModel", is_cacheable=False),
    "EndpointConfig": StepKind(
        "CreateEndpointConfig", "endpoint_config", "EndpointConfigName", "EndpointConfig", is_cacheable=False
    ),
    "Endpoint": StepKind(
        "CreateEndpoint", "endpoint", "EndpointName", "Endpoint", "EndpointStatus", "InService",
        is_cacheable=False,
    ),
}  # fmt: skip

CONDITION, FAIL = "Condition", "Fail"

SERVED = (*KINDS, CONDITION, FAIL)

UNSERVED = (
    "Callback", "Lambda", "QualityCheck", "ClarifyCheck", "EMR", "EMRServerless", "AutoML",
    "InferenceComponent", "Lineage", "Job", "Cleanup", "ForEach", "NotebookJob", "Athena",
    "MonitorBatchTransform",
)  # fmt: skip
"""Kinds that AWS has and this server refuses by name."""

EXECUTION_ID_CHARACTERS = 12
SUFFIX_CHARACTERS = 10
STEP_NAME_CHARACTERS = 20
TUNING_STEP_NAME_CHARACTERS = 7
NAME_CHARACTERS = 63
TUNING_NAME_CHARACTERS = 32


def job_name(kind: str, execution_id: str, step: str, suffix: str, prefix: str | None = None) -> str:
    """The name of what a step creates: ``pipelines-<execution>-<step>-<suffix>``, as AWS composes it.

    Args:
        kind: The step's type.
        execution_id: Of the execution.
        step: The step's name.
        suffix: Random, new for each attempt.
        prefix: The definition's own name of the job, where it has one; AWS takes it as a prefix.
    """
    if kind == "Tuning":
        step = _fit(prefix or step, TUNING_STEP_NAME_CHARACTERS)
        return f"{execution_id}-{step}-{suffix}"[:TUNING_NAME_CHARACTERS]
    if prefix is not None:
        room = NAME_CHARACTERS - len(execution_id) - len(suffix) - 2
        return f"{_fit(prefix, room)}-{execution_id}-{suffix}"
    return f"pipelines-{execution_id}-{_fit(step, STEP_NAME_CHARACTERS)}-{suffix}"


def _fit(name: str, characters: int) -> str:
    """A part of a job's name: neither underscores, which steps may have, nor a hyphen at its end."""
    return name.replace("_", "-")[:characters].strip("-")
