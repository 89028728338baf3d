"""What a search is allowed to ask for, and how it is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from airflow_sagemaker.hooks.request_validation import problems
from airflow_sagemaker.specs.tuning import TuningJob


class Places:
    role_arn = "arn:aws:iam::123456789012:role/sagemaker"

    def s3_uri(self, location: str) -> str:
        return f"s3://data/{location}"

    def image_uri(self, image: str) -> str:
        return f"registry/{image}:latest"


def given(**changes: Any) -> dict[str, Any]:
    return {
        "training": {
            "image": "digits",
            "output": "training/",
            "hyperparameters": {"max_iter": 200},
            "metric_definitions": [{"name": "acc", "regex": "acc=(.*)"}],
        },
        "metric": "acc",
        "ranges": {
            "C": {"type": "continuous", "minimum": 0.1, "maximum": 10, "scaling": "Logarithmic"},
            "depth": {"type": "integer", "minimum": 1, "maximum": 9},
            "warm_start": {"type": "categorical", "values": [True, False]},
        },
        "max_jobs": 9,
        **changes,
    }


def test_a_search_is_asked_for_as_the_api_wants_it() -> None:
    request = TuningJob.model_validate(given(max_parallel=3, random_seed=7, target_value=0.99)).to_request(
        Places()
    )
    assert problems("CreateHyperParameterTuningJob", {"HyperParameterTuningJobName": "t", **request}) == []
    config = request["HyperParameterTuningJobConfig"]
    assert config["ParameterRanges"] == {
        "ContinuousParameterRanges": [
            {"Name": "C", "MinValue": "0.1", "MaxValue": "10.0", "ScalingType": "Logarithmic"}
        ],
        "IntegerParameterRanges": [
            {"Name": "depth", "MinValue": "1", "MaxValue": "9", "ScalingType": "Auto"}
        ],
        "CategoricalParameterRanges": [{"Name": "warm_start", "Values": ["true", "false"]}],
    }
    assert config["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 9
    assert config["TuningJobCompletionCriteria"] == {"TargetObjectiveMetricValue": 0.99}
    definition = request["TrainingJobDefinition"]
    assert definition["StaticHyperParameters"] == {"max_iter": "200"}
    assert "HyperParameters" not in definition


def test_a_spec_survives_the_way_through_airflow() -> None:
    spec = TuningJob.model_validate(given())
    assert TuningJob.model_validate(spec.model_dump(mode="json")) == spec


GRID = {"C": {"type": "categorical", "values": [1, 2]}}


def test_a_grid_needs_no_number_of_jobs() -> None:
    spec = TuningJob.model_validate(given(strategy="Grid", ranges=GRID, max_jobs=None))
    limits = spec.to_request(Places())["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert "MaxNumberOfTrainingJobs" not in limits


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_jobs": None}, "Random strategy needs max_jobs"),
        ({"strategy": "Grid"}, "categorical ranges only, not C, depth"),
        ({"metric": "loss"}, "'loss' is none of the training job's metric definitions: acc"),
        ({"ranges": {"max_iter": {"type": "integer", "minimum": 1, "maximum": 2}}}, "either static or has a"),
        ({"ranges": {"C": {"type": "continuous", "minimum": 1, "maximum": 1}}}, "minimum 1.0 is not below"),
        ({"ranges": {}}, "at least 1 item"),
        (
            {"ranges": {"C": {"type": "real", "minimum": 1, "maximum": 2}}},
            "'integer', 'continuous', 'categorical'",
        ),
        ({"max_runtime_s": 60}, "greater than or equal to 120"),
        ({"strategy": "Luck"}, "'Random', 'Grid', 'Bayesian' or 'Hyperband'"),
        ({"training": {**given()["training"], "tags": {"a": "b"}}}, "move training.tags up"),
    ],
)
def test_a_wrong_search_says_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        TuningJob.model_validate(given(**changes))
    assert said in str(raised.value)
