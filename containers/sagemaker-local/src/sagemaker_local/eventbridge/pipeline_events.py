"""Events of pipeline executions and their steps, whose details are not what a Describe operation answers.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker_local.eventbridge.state_changes import Detail, State, iso
from sagemaker_local.store import Record

ALIVE = ("Executing", "Stopping")

StepType = Callable[[Record, str], str | None]
"""The type of an execution's step, by its name."""


def _resources(record: Record) -> list[str]:
    return [record.document["PipelineArn"], record.arn]


def _set(detail: Mapping[str, Any]) -> Detail:
    return {name: value for name, value in detail.items() if value is not None}


class ExecutionEvents:
    """The execution as a whole."""

    detail_type = "SageMaker Model Building Pipeline Execution Status Change"

    def state(self, record: Record) -> State:
        """See :class:`~sagemaker_local.eventbridge.state_changes.Source`."""
        return {"status": record.document["PipelineExecutionStatus"]}

    def events(self, record: Record, earlier: State, tags: Mapping[str, str]) -> Iterator[Detail]:
        """See :class:`~sagemaker_local.eventbridge.state_changes.Source`."""
        document = record.document
        status = document["PipelineExecutionStatus"]
        if status == earlier.get("status"):
            return
        yield _set(
            {
                "pipelineExecutionDisplayName": document.get("PipelineExecutionDisplayName"),
                "currentPipelineExecutionStatus": status,
                "previousPipelineExecutionStatus": earlier.get("status"),
                "executionStartTime": iso(document["CreationTime"]),
                "executionEndTime": None if status in ALIVE else iso(document["LastModifiedTime"]),
                "pipelineExecutionDescription": document.get("PipelineExecutionDescription"),
                "pipelineArn": document["PipelineArn"],
                "pipelineExecutionArn": record.arn,
            }
        )

    def resources(self, record: Record) -> list[str]:
        """See :class:`~sagemaker_local.eventbridge.state_changes.Source`."""
        return _resources(record)


@dataclass(frozen=True, slots=True)
class StepEvents:
    """Its steps.

    Attributes:
        step_type: Looks a step's type up.
    """

    step_type: StepType
    detail_type: str = "SageMaker Model Building Pipeline Execution Step Status Change"

    def state(self, record: Record) -> State:
        """See :class:`~sagemaker_local.eventbridge.state_changes.Source`."""
        return {name: step["StepStatus"] for name, step in record.private["steps"].items()}

    def events(self, record: Record, earlier: State, tags: Mapping[str, str]) -> Iterator[Detail]:
        """See :class:`~sagemaker_local.eventbridge.state_changes.Source`."""
        for name, status in self.state(record).items():
            if status == earlier.get(name):
                continue
            step = record.private["steps"][name]
            yield _set(
                {
                    "metadata": lower_camel(step.get("Metadata", {})),
                    "stepStartTime": iso(step["StartTime"]),
                    "stepEndTime": iso(step["EndTime"]) if "EndTime" in step else None,
                    "stepName": name,
                    "stepType": self.step_type(record, name),
                    "previousStepStatus": earlier.get(name),
                    "currentStepStatus": status,
                    "failureReason": step.get("FailureReason"),
                    "cacheHitResult": lower_camel(step.get("CacheHitResult")),
                    "pipelineArn": record.document["PipelineArn"],
                    "pipelineExecutionArn": record.arn,
                }
            )

    def resources(self, record: Record) -> list[str]:
        """See :class:`~sagemaker_local.eventbridge.state_changes.Source`."""
        return _resources(record)


def lower_camel(value: Any) -> Any:
    """Members as these events name them: ``ProcessingJob`` is ``processingJob``."""
    if isinstance(value, Mapping):
        return {name[:1].lower() + name[1:]: lower_camel(each) for name, each in value.items()}
    return value
