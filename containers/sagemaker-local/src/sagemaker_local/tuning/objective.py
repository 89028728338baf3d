"""What a training job's metrics say about its hyperparameters, and when a search is over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

JOBS_WITHOUT_OBJECTIVE = 5
"""AWS gives up when so many jobs completed and none emitted the objective metric."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The metric that a tuning job makes as large, or as small, as it can."""

    type: str
    metric: str

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Objective:
        """From ``HyperParameterTuningJobObjective`` or ``TuningObjective``."""
        return cls(given["Type"], given["MetricName"])

    def final(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        """A training job's ``FinalHyperParameterTuningJobObjectiveMetric``; None when it emitted none."""
        for metric in document.get("FinalMetricDataList", []):
            if metric["MetricName"] == self.metric and math.isfinite(metric["Value"]):
                return {"Type": self.type, "MetricName": self.metric, "Value": metric["Value"]}
        return None

    def reaches(self, value: float, target: float) -> bool:
        """Whether a value is as good as a target."""
        return value >= target if self.type == "Maximize" else value <= target


def rank(metric: Mapping[str, Any]) -> float:
    """A key that sorts objective metrics best first."""
    value = float(metric["Value"])
    return -value if metric["Type"] == "Maximize" else value


def best(summaries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The summary with the best objective metric; the earlier one of equals."""
    measured = [each for each in summaries if "FinalHyperParameterTuningJobObjectiveMetric" in each]
    return min(
        measured,
        key=lambda each: rank(each["FinalHyperParameterTuningJobObjectiveMetric"]),
        default=None,
    )


def not_improving(summaries: Sequence[Mapping[str, Any]]) -> int:
    """How many jobs ended since the best one did.

    Args:
        summaries: Of the jobs that are over, in the order of their ends.
    """
    winner = best(summaries)
    return 0 if winner is None else len(summaries) - 1 - list(summaries).index(winner)


def is_satisfied(
    criteria: Mapping[str, Any], objective: Objective, ended: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether ``TuningJobCompletionCriteria`` end the search.

    Args:
        criteria: Of the request.
        objective: What is searched for.
        ended: Summaries of the jobs that are over, in the order of their ends.
    """
    winner = best(ended)
    if winner is None:
        return False
    target = criteria.get("TargetObjectiveMetricValue")
    value = winner["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    if target is not None and objective.reaches(value, target):
        return True
    patience = criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
    return patience is not None and not_improving(ended) >= int(patience)


def status_counters(summaries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """``TrainingJobStatusCounters``."""
    counters = dict.fromkeys(("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0)
    for each in summaries:
        status = each["TrainingJobStatus"]
        if status == "Failed":
            status = "RetryableError" if is_retryable(each) else "NonRetryableError"
        counters["InProgress" if status == "Stopping" else status] += 1
    return counters


def objective_counters(summaries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """``ObjectiveStatusCounters``."""
    counters = dict.fromkeys(("Succeeded", "Pending", "Failed"), 0)
    for each in summaries:
        counters[each["ObjectiveStatus"]] += 1
    return counters


def is_retryable(summary: Mapping[str, Any]) -> bool:
    """Whether a job failed by the service's fault; only then AWS tries again."""
    reason = str(summary.get("FailureReason", ""))
    return summary["TrainingJobStatus"] == "Failed" and reason.startswith("InternalServerError")
