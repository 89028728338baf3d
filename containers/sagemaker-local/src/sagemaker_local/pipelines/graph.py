"""Which steps come next, and whether the arrows go round in a circle."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sagemaker_local.pipelines.definition import Step


def cycle(before: Mapping[str, frozenset[str]]) -> list[str]:
    """The names along a circle, or none.

    Args:
        before: Each step's name → the names of those that come before it.
    """
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def ready(steps: Mapping[str, Step], statuses: Mapping[str, str], outcomes: Mapping[str, str]) -> list[str]:
    """Names of the steps that may start now, in the order of the definition.

    A step inside a condition's other branch never gets ready, nor does one that waits for it.

    Args:
        steps: All steps.
        statuses: Status of each step that was started.
        outcomes: ``True`` or ``False`` for each Condition step that was evaluated.
    """
    return [
        step.name
        for step in steps.values()
        if step.name not in statuses
        and all(statuses.get(name) == "Succeeded" for name in step.waits_for)
        and (step.branch is None or outcomes.get(step.branch.condition) == step.branch.outcome)
    ]
