"""Selective execution: some steps run, the others keep the results of an earlier execution.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-selective-ex.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sagemaker_local.errors import ValidationException
from sagemaker_local.pipelines.definition import Definition


def kept_steps(
    definition: Definition,
    selected: Collection[str],
    source: str | None,
    states: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """The states of the steps that are not run again.

    Args:
        definition: Of the execution to start.
        selected: Names of the steps that run.
        source: ARN of the earlier execution.
        states: Its steps.

    Raises:
        ValidationException: a selected step is not there, or needs a result that is not there.
    """
    if unknown := sorted(set(selected) - definition.steps.keys()):
        raise ValidationException(f"The selected steps {', '.join(unknown)} are no steps of the pipeline")
    kept = {
        name: {**state, "SelectiveExecutionResult": {"SourcePipelineExecutionArn": source}}
        for name, state in states.items()
        if name in definition.steps and name not in selected and state["StepStatus"] == "Succeeded"
    }
    for name in selected:
        step = definition.steps[name]
        needed = set(step.waits_for) | ({step.branch.condition} if step.branch else set())
        if missing := sorted(needed - set(selected) - kept.keys()):
            raise ValidationException(
                f"Invalid SourcePipelineExecutionArn: {source}. The selected step '{name}' has dependencies "
                f"on {', '.join(missing)}, which it does not hold as succeeded"
            )
    return kept
