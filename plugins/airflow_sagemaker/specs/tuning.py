"""Hyperparameter tuning jobs: many training jobs over ranges, and the best of them by a metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from airflow_sagemaker.specs.base import JsonObject, Places, Spec, text_of
from airflow_sagemaker.specs.training import TrainingJob

ScalingType: TypeAlias = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]

MIN_RUNTIME_S = 120
MAX_RUNTIME_S = 15768000
"""Of ``HyperParameterTuningMaxRuntimeInSeconds`` in botocore's service model."""


class IntegerParameterRange(Spec):
    """A hyperparameter of whole numbers."""

    type: Literal["integer"]
    minimum: int
    maximum: int
    scaling: ScalingType = "Auto"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _require_order(self.minimum, self.maximum)
        return self


class ContinuousParameterRange(Spec):
    """A hyperparameter of real numbers."""

    type: Literal["continuous"]
    minimum: float
    maximum: float
    scaling: ScalingType = "Auto"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _require_order(self.minimum, self.maximum)
        return self


class CategoricalParameterRange(Spec):
    """A hyperparameter that is one of some values."""

    type: Literal["categorical"]
    values: Annotated[tuple[str | int | float | bool, ...], Field(min_length=1, max_length=30)]


ParameterRange: TypeAlias = Annotated[
    IntegerParameterRange | ContinuousParameterRange | CategoricalParameterRange, Field(discriminator="type")
]

FIELD_BY_TYPE = {
    "integer": "IntegerParameterRanges",
    "continuous": "ContinuousParameterRanges",
    "categorical": "CategoricalParameterRanges",
}


class TuningJob(Spec):
    """A training job whose other hyperparameters are searched for."""

    training: TrainingJob
    """Each training job: its ``hyperparameters`` are the static ones, its ``max_runtime_s`` is its own."""
    metric: str
    """The objective: the name of one of the training job's metric definitions."""
    ranges: Annotated[Mapping[str, ParameterRange], Field(min_length=1)]
    goal: Literal["Maximize", "Minimize"] = "Maximize"
    strategy: Literal["Random", "Grid", "Bayesian", "Hyperband"] = "Random"
    max_jobs: int | None = Field(default=None, ge=1)
    """How many training jobs at most; for Grid the number of combinations by default."""
    max_parallel: int = Field(default=1, ge=1)
    max_runtime_s: int = Field(default=86400, ge=MIN_RUNTIME_S, le=MAX_RUNTIME_S)
    early_stopping: Literal["Off", "Auto"] = "Off"
    target_value: float | None = None
    """The search ends with the first training job whose metric is as good as this."""
    random_seed: int | None = Field(default=None, ge=0)
    tags: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if both := sorted(set(self.ranges) & set(self.training.hyperparameters)):
            raise ValueError(f"{', '.join(both)}: a hyperparameter is either static or has a range")
        known = {definition.name for definition in self.training.metric_definitions}
        if known and self.metric not in known:
            raise ValueError(
                f"metric {self.metric!r} is none of the training job's metric definitions: "
                f"{', '.join(sorted(known))}"
            )
        if self.training.tags:
            raise ValueError(
                "a training job of a tuning job has the tuning job's tags; move training.tags up"
            )
        if self.strategy == "Grid":
            if wrong := sorted(name for name, each in self.ranges.items() if each.type != "categorical"):
                raise ValueError(f"the Grid strategy takes categorical ranges only, not {', '.join(wrong)}")
        elif self.max_jobs is None:
            raise ValueError(f"the {self.strategy} strategy needs max_jobs")
        return self

    def to_request(self, places: Places) -> JsonObject:
        """The body of CreateHyperParameterTuningJob, but for the name and the tags."""
        limits: JsonObject = {
            "MaxParallelTrainingJobs": self.max_parallel,
            "MaxRuntimeInSeconds": self.max_runtime_s,
        }
        if self.max_jobs is not None:
            limits["MaxNumberOfTrainingJobs"] = self.max_jobs
        config: JsonObject = {
            "Strategy": self.strategy,
            "HyperParameterTuningJobObjective": {"Type": self.goal, "MetricName": self.metric},
            "ResourceLimits": limits,
            "ParameterRanges": _ranges_request(self.ranges),
            "TrainingJobEarlyStoppingType": self.early_stopping,
        }
        if self.target_value is not None:
            config["TuningJobCompletionCriteria"] = {"TargetObjectiveMetricValue": self.target_value}
        if self.random_seed is not None:
            config["RandomSeed"] = self.random_seed
        definition = self.training.to_request(places)
        if static := definition.pop("HyperParameters", None):
            definition["StaticHyperParameters"] = static
        return {"HyperParameterTuningJobConfig": config, "TrainingJobDefinition": definition}


def _require_order(minimum: float, maximum: float) -> None:
    if minimum >= maximum:
        raise ValueError(f"minimum {minimum} is not below maximum {maximum}")


def _ranges_request(ranges: Mapping[str, ParameterRange]) -> JsonObject:
    request: JsonObject = {}
    for name, given in ranges.items():
        if isinstance(given, CategoricalParameterRange):
            written: JsonObject = {"Name": name, "Values": [text_of(value) for value in given.values]}
        else:
            written = {
                "Name": name,
                "MinValue": text_of(given.minimum),
                "MaxValue": text_of(given.maximum),
                "ScalingType": given.scaling,
            }
        request.setdefault(FIELD_BY_TYPE[given.type], []).append(written)
    return request
