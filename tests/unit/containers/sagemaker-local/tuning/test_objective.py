"""The best training job, the counters, and when a search is over."""

from __future__ import annotations

from typing import Any

import pytest

from sagemaker_local.tuning.objective import (
    Objective,
    best,
    is_retryable,
    is_satisfied,
    not_improving,
    objective_counters,
    status_counters,
)

OBJECTIVE = Objective("Minimize", "loss")


def ended(*values: float | None, kind: str = "Minimize") -> list[dict[str, Any]]:
    summaries: list[dict[str, Any]] = []
    for number, value in enumerate(values):
        summary: dict[str, Any] = {"TrainingJobName": str(number), "TrainingJobStatus": "Completed"}
        if value is not None:
            metric = {"Type": kind, "MetricName": "loss", "Value": value}
            summary["FinalHyperParameterTuningJobObjectiveMetric"] = metric
        summaries.append(summary | {"ObjectiveStatus": "Failed" if value is None else "Succeeded"})
    return summaries


def test_the_best_is_the_smallest_or_the_largest_and_the_earlier_of_equals():
    winner = best(ended(3.0, 1.0, None, 1.0))
    assert winner is not None
    assert winner["TrainingJobName"] == "1"
    winner = best(ended(3.0, 1.0, kind="Maximize"))
    assert winner is not None
    assert winner["TrainingJobName"] == "0"
    assert best(ended(None)) is None


def test_the_metric_is_the_objectives_and_a_number():
    metrics = [{"MetricName": "accuracy", "Value": 1.0}, {"MetricName": "loss", "Value": 0.5}]
    assert OBJECTIVE.final({"FinalMetricDataList": metrics}) == {
        "Type": "Minimize",
        "MetricName": "loss",
        "Value": 0.5,
    }
    nothing = [{"MetricName": "loss", "Value": float("nan")}]
    assert OBJECTIVE.final({"FinalMetricDataList": nothing}) is None
    assert OBJECTIVE.final({}) is None


@pytest.mark.parametrize(
    ("criteria", "values", "is_over"),
    [
        ({"TargetObjectiveMetricValue": 0.5}, (1.0, 0.5), True),
        ({"TargetObjectiveMetricValue": 0.5}, (1.0, 0.6), False),
        (
            {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}},
            (1.0, 2.0, 2.0, 2.0),
            True,
        ),
        (
            {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}},
            (2.0, 2.0, 1.0, 2.0),
            False,
        ),
        ({}, (1.0,), False),
        ({"TargetObjectiveMetricValue": 0.5}, (None,), False),
    ],
)
def test_criteria_end_a_search(criteria, values, is_over):
    assert is_satisfied(criteria, OBJECTIVE, ended(*values)) is is_over


def test_jobs_since_the_best_are_counted():
    assert not_improving(ended(3.0, 1.0, None, 2.0)) == 2
    assert not_improving(ended(None)) == 0


def test_failures_of_the_service_are_counted_apart():
    lost = {
        "TrainingJobStatus": "Failed",
        "FailureReason": "InternalServerError: x",
        "ObjectiveStatus": "Failed",
    }
    bad = {"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: x", "ObjectiveStatus": "Failed"}
    stopping = {"TrainingJobStatus": "Stopping", "ObjectiveStatus": "Pending"}
    assert (is_retryable(lost), is_retryable(bad)) == (True, False)
    assert status_counters([lost, bad, stopping, *ended(1.0)]) == {
        "Completed": 1,
        "InProgress": 1,
        "RetryableError": 1,
        "NonRetryableError": 1,
        "Stopped": 0,
    }
    assert objective_counters([lost, bad, stopping, *ended(1.0)]) == {
        "Succeeded": 1,
        "Pending": 1,
        "Failed": 2,
    }
