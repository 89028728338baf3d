"""Results of earlier executions, for step caching."""

from __future__ import annotations

from typing import Any

from sagemaker_local.names import now
from sagemaker_local.pipelines.record import EXECUTION, ExecutionRecord


def find_result(
    record: ExecutionRecord, step: str, cache_key: str, age_s: float
) -> tuple[str, dict[str, Any]] | None:
    """The newest success of a step with the same arguments in another execution of the pipeline.

    Args:
        record: The execution that looks for one.
        step: The step's name.
        cache_key: Its arguments, as :func:`sagemaker_local.pipelines.caching.cache_key` sums them up.
        age_s: How long ago it may have ended.

    Returns:
        The ARN of the execution that did the work, and the step's state; None when there is none.
    """
    pipeline = record.read().private["pipeline"]
    found: list[tuple[float, str, dict[str, Any]]] = []
    for other in record.services.store.list(EXECUTION):
        if other.private["pipeline"] != pipeline or other.name == record.id:
            continue
        state = other.private["steps"].get(step)
        if state is None or state["StepStatus"] != "Succeeded" or "CacheHitResult" in state:
            continue
        if state["private"].get("cache_key") == cache_key and state["EndTime"] >= now() - age_s:
            found.append((state["EndTime"], other.arn, state))
    if not found:
        return None
    _, arn, state = max(found, key=lambda each: each[0])
    return arn, state
