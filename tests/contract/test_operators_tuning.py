"""Tuning jobs of the plugin against the local SageMaker: what is found, why none was, and the end of all."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from airflow_sagemaker.errors import CapacityError, JobFailedError
from airflow_sagemaker.operators.tuning import TuningJobOperator
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.training import MetricDefinition, TrainingJob
from airflow_sagemaker.specs.tuning import CategoricalParameterRange, TuningJob
from tests.contract.operators_probe import Task, local

__all__ = ["local"]


def test_a_tuning_job_gives_its_best_model(local: Any) -> None:
    task = Task("hyper_parameter_tuning_job")
    trained = TrainingJob(
        image="sums",
        output="out/",
        hyperparameters={"pause_s": 0},
        metric_definitions=(MetricDefinition(name="acc", regex=r"acc=([0-9.]+)"),),
    )
    lines = CategoricalParameterRange(type="categorical", values=(2, 5, 3))
    spec = TuningJob(training=trained, metric="acc", ranges={"lines": lines}, strategy="Grid", max_parallel=2)
    first = task.submit(spec.to_request(task.hook))
    assert task.submit(spec.to_request(task.hook)).name == first.name
    ended = task.wait(first.name)
    assert ended["end"] == "completed", ended
    results = ended["results"]
    assert results["hyperparameters"] == {"lines": "5"}
    assert results["metric"] == {"acc": pytest.approx(0.4)}
    assert results["counts"]["completed"] == 3
    described = local.client("sagemaker").describe_training_job(TrainingJobName=results["best_job_name"])
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == results["model_uri"]
    assert any("line 4" in line for line in task.lines)


@pytest.mark.parametrize(
    ("rules", "values", "error"),
    [
        ([{"fault": "capacity", "kind": "training_job"}], ("1", "2"), CapacityError),
        ([{"fault": "capacity", "kind": "training_job", "count": 1}], ("a bug", "a bug too"), JobFailedError),
    ],
    ids=["no machines", "one without a machine, one with a bug"],
)
def test_a_failed_search_says_what_its_training_jobs_failed_of(
    local: Any, rules: list[JsonObject], values: tuple[str, str], error: type[Exception]
) -> None:
    httpx.put(f"{local.url}/_local/faults", json={"rules": rules}, timeout=60).raise_for_status()
    task = Task("hyper_parameter_tuning_job")
    trained = TrainingJob(
        image="sums",
        output="out/",
        metric_definitions=(MetricDefinition(name="acc", regex=r"acc=([0-9.]+)"),),
    )
    given = {"fail": CategoricalParameterRange(type="categorical", values=values)}
    spec = TuningJob(training=trained, metric="acc", ranges=given, strategy="Grid")
    ended = task.wait(task.submit(spec.to_request(task.hook)).name)
    assert ended["end"] == "failed", ended
    operator = TuningJobOperator(task_id="search", job=spec)
    operator._announce(ended["job_name"])
    raised = operator.failed(ended["reason"])
    assert type(raised) is error
    assert "All training jobs failed" in str(raised)


def test_a_kill_stops_a_tuning_job_with_its_training_jobs(local: Any) -> None:
    task = Task("hyper_parameter_tuning_job")
    trained = TrainingJob(
        image="sums",
        output="out/",
        metric_definitions=(MetricDefinition(name="acc", regex=r"acc=([0-9.]+)"),),
    )
    pauses = CategoricalParameterRange(type="categorical", values=(60, 61))
    spec = TuningJob(training=trained, metric="acc", ranges={"pause_s": pauses}, strategy="Grid")
    name = task.submit(spec.to_request(task.hook)).name
    asyncio.run(task.trigger(name).on_kill())
    assert task.wait(name)["end"] == "stopped"
    jobs = local.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert not [job for job in jobs if job["TrainingJobStatus"] == "InProgress"]
