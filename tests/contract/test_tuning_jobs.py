"""Hyperparameter tuning over the wire with plain boto3: real training jobs, the best of them, stop, kill."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import LocalServer

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/echo:1"
DEADLINE_S = 300.0
RATE = {"Name": "rate", "Regex": r"'rate': '([0-9.e-]+)'"}
RATES = {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0.001", "MaxValue": "1"}]}
GRID = {
    "CategoricalParameterRanges": [
        {"Name": "rate", "Values": ["0.1", "0.3", "0.2"]},
        {"Name": "model", "Values": ["a", "b"]},
    ]
}
OBJECTIVE = {"Type": "Maximize", "MetricName": "rate"}
OTHER = {"Type": "Maximize", "MetricName": "x"}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """One server for the tests that do not kill it."""
    images = Path(__file__).parent / "images"
    running = LocalServer(tmp_path_factory.mktemp("tuning") / "data", images, "--jobs", "2").start()
    running.client("s3").create_bucket(Bucket="bucket")
    yield running
    running.stop()


def tune(sagemaker: Any, ranges: Any, *, strategy: str = "Random", **more: Any) -> str:
    name = f"tune-{uuid.uuid4().hex[:12]}"
    config = {
        "Strategy": strategy,
        "HyperParameterTuningJobObjective": OBJECTIVE,
        "ResourceLimits": more.pop("limits", {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2}),
        "ParameterRanges": ranges,
        **more.pop("config", {}),
    }
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig=config,
        TrainingJobDefinition=definition(more.pop("static", {})),
        **more,
    )
    return name


def definition(static: dict[str, str], **more: Any) -> dict[str, Any]:
    return {
        "StaticHyperParameters": static,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [RATE],
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        **more,
    }


def until(sagemaker: Any, name: str, wanted: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while not wanted(
        found := sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    ):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def ended(sagemaker: Any, name: str) -> Any:
    over = ("Completed", "Failed", "Stopped")
    return until(sagemaker, name, lambda found: found["HyperParameterTuningJobStatus"] in over)


def has_completed(count: int, found: Any) -> bool:
    return bool(found["TrainingJobStatusCounters"]["Completed"] >= count)


def children(sagemaker: Any, name: str, **more: Any) -> list[Any]:
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    found = pages.paginate(HyperParameterTuningJobName=name, PaginationConfig={"PageSize": 2}, **more)
    return [each for page in found for each in page["TrainingJobSummaries"]]


def test_a_random_search_trains_and_finds_the_best(local):
    sagemaker = local.client("sagemaker")
    name = tune(
        sagemaker,
        RATES,
        config={"RandomSeed": 7},
        static={"model": "x"},
        Tags=[{"Key": "team", "Value": "a"}],
    )
    found = ended(sagemaker, name)
    assert found["HyperParameterTuningJobStatus"] == "Completed", found
    assert found["TrainingJobStatusCounters"] == {
        "Completed": 3, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0,
    }  # fmt: skip
    assert found["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 0}
    trained = children(sagemaker, name, SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
    values = [each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for each in trained]
    assert len(values) == 3
    assert values == sorted(values, reverse=True)
    assert found["BestTrainingJob"]["TrainingJobName"] == trained[0]["TrainingJobName"]
    assert values[0] == pytest.approx(float(trained[0]["TunedHyperParameters"]["rate"]))
    job = sagemaker.describe_training_job(TrainingJobName=trained[0]["TrainingJobName"])
    assert job["TuningJobArn"] == found["HyperParameterTuningJobArn"]
    assert job["HyperParameters"]["_tuning_objective_metric"] == "rate"
    assert job["HyperParameters"]["model"] == "x"
    assert sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == [{"Key": "team", "Value": "a"}]
    again = tune(sagemaker, RATES, config={"RandomSeed": 7})
    ended(sagemaker, again)
    assert [each["TunedHyperParameters"]["rate"] for each in children(sagemaker, again)] == [
        each["TunedHyperParameters"]["rate"] for each in children(sagemaker, name)
    ]


def test_a_grid_search_trains_every_combination(local):
    sagemaker = local.client("sagemaker")
    name = tune(sagemaker, GRID, strategy="Grid", limits={"MaxParallelTrainingJobs": 2})
    assert ended(sagemaker, name)["BestTrainingJob"]["TunedHyperParameters"]["rate"] == "0.3"
    tried = {tuple(sorted(each["TunedHyperParameters"].items())) for each in children(sagemaker, name)}
    assert tried == {(("model", model), ("rate", rate)) for model in "ab" for rate in ("0.1", "0.2", "0.3")}
    listed = sagemaker.list_hyper_parameter_tuning_jobs(NameContains=name)["HyperParameterTuningJobSummaries"]
    assert listed[0]["Strategy"] == "Grid"
    sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def test_a_target_value_ends_the_search(local):
    sagemaker = local.client("sagemaker")
    name = tune(
        sagemaker, GRID, strategy="Grid", limits={"MaxParallelTrainingJobs": 1},
        config={"TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 0.25}},
    )  # fmt: skip
    found = ended(sagemaker, name)
    assert found["HyperParameterTuningJobStatus"] == "Completed"
    assert found["TrainingJobStatusCounters"]["Completed"] == 3  # 0.1 a, 0.1 b, 0.3 a


def test_several_definitions_take_turns(local):
    sagemaker = local.client("sagemaker")
    name = f"tune-{uuid.uuid4().hex[:12]}"
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
        },
        TrainingJobDefinitions=[
            definition({}, DefinitionName=each, TuningObjective=OBJECTIVE, HyperParameterRanges=RATES)
            for each in ("first", "second")
        ],
    )
    assert ended(sagemaker, name)["HyperParameterTuningJobStatus"] == "Completed"
    names = [each["TrainingJobDefinitionName"] for each in children(sagemaker, name)]
    assert sorted(names) == ["first", "second"]


def test_a_search_whose_jobs_all_fail_fails(local):
    sagemaker = local.client("sagemaker")
    name = tune(
        sagemaker, RATES, static={"failure": "no"},
        limits={"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
    )  # fmt: skip
    found = ended(sagemaker, name)
    assert found["HyperParameterTuningJobStatus"] == "Failed"
    assert "All training jobs failed" in found["FailureReason"]
    assert found["TrainingJobStatusCounters"]["NonRetryableError"] == 1


def test_a_stop_stops_the_training_jobs(local):
    sagemaker = local.client("sagemaker")
    name = tune(sagemaker, RATES, static={"seconds": "600"})
    until(sagemaker, name, lambda found: found["TrainingJobStatusCounters"]["InProgress"] == 2)
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert ended(sagemaker, name)["HyperParameterTuningJobStatus"] == "Stopped"
    assert {each["TrainingJobStatus"] for each in children(sagemaker, name)} == {"Stopped"}


def test_a_kill_does_not_lose_or_double_a_training_job(start_server):
    local = start_server("--jobs", "1", containers=Path(__file__).parent / "images")
    local.client("s3").create_bucket(Bucket="bucket")
    sagemaker = local.client("sagemaker")
    name = tune(
        sagemaker, GRID, strategy="Grid", limits={"MaxParallelTrainingJobs": 2}, static={"seconds": "1"}
    )
    for ended_jobs in (1, 3):

        def enough(found, least=ended_jobs):
            return found["TrainingJobStatusCounters"]["Completed"] >= least

        until(sagemaker, name, enough)
        local.kill()
        sagemaker = local.start().client("sagemaker")
    found = ended(sagemaker, name)
    assert found["HyperParameterTuningJobStatus"] == "Completed", found
    assert found["TrainingJobStatusCounters"]["Completed"] == 6
    completed = [each for each in children(sagemaker, name) if each["TrainingJobStatus"] == "Completed"]
    assert len({tuple(sorted(each["TunedHyperParameters"].items())) for each in completed}) == 6
    # Every training job of the server is one that the tuning job knows.
    everything = sagemaker.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
    assert sorted(each["TrainingJobName"] for each in everything) == sorted(
        each["TrainingJobName"] for each in children(sagemaker, name)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strategy": "Bayesian"}, "the Bayesian strategy"),
        ({"strategy": "Hyperband"}, "the Hyperband strategy"),
        ({"Autotune": {"Mode": "Enabled"}}, "Autotune"),
        ({"config": {"TrainingJobEarlyStoppingType": "Auto"}}, "TrainingJobEarlyStoppingType Auto"),
        ({"strategy": "Grid"}, "only categorical parameter ranges"),
        ({"static": {"rate": "1"}}, "static and tuned at once: rate"),
        ({"config": {"HyperParameterTuningJobObjective": OTHER}}, "MetricDefinitions"),
        ({"limits": {"MaxParallelTrainingJobs": 1}}, "MaxNumberOfTrainingJobs is required"),
    ],
)  # fmt: skip
def test_refusals_name_what_is_wrong(local, change, message):
    with pytest.raises(ClientError, match=message):
        tune(local.client("sagemaker"), RATES, **change)
