"""A tuning job's request as a search: which training job comes when, with which values."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagemaker_local.errors import ResourceLimitExceeded, ValidationException
from sagemaker_local.tuning.implied_metrics import definition_of
from sagemaker_local.tuning.objective import Objective
from sagemaker_local.tuning.ranges import Range, Values, grid, grid_size, random_values, read_ranges

OBJECTIVE_HYPERPARAMETER = "_tuning_objective_metric"
"""Tells the program what it is tuned for; AWS adds it to the hyperparameters of every training job."""

UNSERVED_STRATEGIES = ("Bayesian", "Hyperband")

JOBS_MAXIMUM = 750
"""Training jobs of one tuning job.
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-limits.html"""

GRID_NUMBER = "MaxNumberOfTrainingJobs must equal the number of distinct combinations of the grid"


@dataclass(frozen=True, slots=True)
class Space:
    """One training job definition: what is varied, and what for."""

    definition: Mapping[str, Any]
    ranges: Sequence[Range]
    objective: Objective

    def request(self, name: str, values: Values, tags: Mapping[str, str]) -> dict[str, Any]:
        """The CreateTrainingJob request of one training job."""
        given = self.definition
        passed = ("AlgorithmSpecification", "RoleArn", "InputDataConfig", "VpcConfig", "OutputDataConfig",
                  "StoppingCondition", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption",
                  "EnableManagedSpotTraining", "RetryStrategy", "Environment")  # fmt: skip
        request = {field: given[field] for field in passed if given.get(field) is not None}
        request["TrainingJobName"] = name
        request["ResourceConfig"] = _resources(given)
        request["HyperParameters"] = {
            **given.get("StaticHyperParameters", {}),
            **values,
            OBJECTIVE_HYPERPARAMETER: self.objective.metric,
        }
        if checkpoints := given.get("CheckpointConfig"):
            # Jobs of one tuning job run side by side and must not overwrite one another's checkpoints.
            own = f"{checkpoints['S3Uri'].rstrip('/')}/{name}"
            request["CheckpointConfig"] = {**checkpoints, "S3Uri": own}
        if tags:
            request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        return request


@dataclass(frozen=True, slots=True)
class Search:
    """The whole of a tuning job's plan.

    Attributes:
        strategy: Random or Grid.
        spaces: One for each training job definition.
        job_count: Training jobs that it takes.
        parallel_count: Of them, how many side by side.
        seed: What random values are drawn from.
    """

    strategy: str
    spaces: Sequence[Space]
    job_count: int
    parallel_count: int
    seed: int

    def draw(self, number: int) -> tuple[int, Values]:
        """Which definition the training job of a number (from 0) has, and which values."""
        if self.strategy == "Grid":
            points = ((at, values) for at, space in enumerate(self.spaces) for values in grid(space.ranges))
            return next(itertools.islice(points, number, None))
        at = number % len(self.spaces)
        return at, random_values(self.spaces[at].ranges, self.seed, number)


def read_search(request: Mapping[str, Any], seed: int) -> Search:
    """Check a CreateHyperParameterTuningJob request and make a plan of it.

    Raises:
        ValidationException: the request asks for what cannot be, or for what is not served.
    """
    config = request["HyperParameterTuningJobConfig"]
    strategy, resource_limits = config["Strategy"], config["ResourceLimits"]
    _refuse_unserved(request, config)
    definitions = request.get("TrainingJobDefinitions") or []
    single = request.get("TrainingJobDefinition")
    if (single is None) == (not definitions):
        raise ValidationException(
            "Exactly one of TrainingJobDefinition and TrainingJobDefinitions must be given"
        )
    if single is not None:
        spaces = [
            _space(single, config.get("ParameterRanges"), config.get("HyperParameterTuningJobObjective"))
        ]
    else:
        spaces = _named_spaces(definitions, config)
    parallel = int(resource_limits["MaxParallelTrainingJobs"])
    count = resource_limits.get("MaxNumberOfTrainingJobs")
    if strategy == "Grid":
        size = sum(grid_size(space.ranges) for space in spaces)
        if count is not None and count != size:
            raise ValidationException(f"{GRID_NUMBER}, which is {size}, not {count}: leave it out")
        count = size
    elif count is None:
        raise ValidationException(f"MaxNumberOfTrainingJobs is required for the {strategy} strategy")
    if parallel > count:
        raise ValidationException(
            f"MaxParallelTrainingJobs ({parallel}) must not be greater than MaxNumberOfTrainingJobs ({count})"
        )
    if count > JOBS_MAXIMUM:
        raise ResourceLimitExceeded(
            f"A hyperparameter tuning job may have {JOBS_MAXIMUM} training jobs and was asked for {count}"
        )
    return Search(strategy, spaces, int(count), parallel, seed)


def _refuse_unserved(request: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    convergence = config.get("TuningJobCompletionCriteria", {}).get("ConvergenceDetected", {})
    ranges = [config.get("ParameterRanges", {})]
    ranges += [each.get("HyperParameterRanges", {}) for each in request.get("TrainingJobDefinitions", [])]
    asked = {
        f"the {config['Strategy']} strategy": config["Strategy"] in UNSERVED_STRATEGIES,
        "Autotune": request.get("Autotune"),
        "WarmStartConfig": request.get("WarmStartConfig"),
        "TrainingJobEarlyStoppingType Auto": config.get("TrainingJobEarlyStoppingType") == "Auto",
        "StrategyConfig": config.get("StrategyConfig"),
        "ConvergenceDetected": convergence.get("CompleteOnConvergence") == "Enabled",
        "AutoParameters": any(each.get("AutoParameters") for each in ranges),
    }
    if unserved := [what for what, is_asked in asked.items() if is_asked]:
        raise ValidationException(
            f"The local SageMaker does not support {', '.join(unserved)} of a hyperparameter tuning job; "
            f"it searches with the strategies Random and Grid"
        )


def _named_spaces(definitions: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> list[Space]:
    names = [each.get("DefinitionName") for each in definitions]
    if None in names or len(set(names)) < len(names):
        raise ValidationException("Every one of TrainingJobDefinitions must have a DefinitionName of its own")
    if config.get("ParameterRanges") or config.get("HyperParameterTuningJobObjective"):
        raise ValidationException(
            "With TrainingJobDefinitions, ParameterRanges and HyperParameterTuningJobObjective belong into "
            "each definition, as HyperParameterRanges and TuningObjective"
        )
    return [
        _space(each, each.get("HyperParameterRanges"), each.get("TuningObjective")) for each in definitions
    ]


def _space(
    definition: Mapping[str, Any],
    ranges: Mapping[str, Any] | None,
    objective: Mapping[str, str] | None,
) -> Space:
    if objective is None:
        raise ValidationException("The metric to tune for (its Type and MetricName) is required")
    algorithm = definition["AlgorithmSpecification"]
    metric = definition_of(algorithm, objective["MetricName"])
    if metric is None:
        known = ", ".join(each["Name"] for each in algorithm.get("MetricDefinitions", []))
        raise ValidationException(
            f"The objective metric '{objective['MetricName']}' must be one of MetricDefinitions, which are: "
            f"{known or 'none'}"
        )
    others = [each for each in algorithm.get("MetricDefinitions", []) if each["Name"] != metric["Name"]]
    definition = {
        **definition,
        "AlgorithmSpecification": {**algorithm, "MetricDefinitions": [*others, metric]},
    }
    space = Space(definition, read_ranges(ranges or {}), Objective.read(objective))
    static = definition.get("StaticHyperParameters", {})
    if both := sorted(static.keys() & {each.name for each in space.ranges}):
        raise ValidationException(f"Hyperparameters cannot be static and tuned at once: {', '.join(both)}")
    _resources(definition)
    return space


def _resources(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The ``ResourceConfig`` of a training job; of several instance types the first, always there."""
    if given := definition.get("ResourceConfig"):
        return dict(given)
    flexible = definition.get("HyperParameterTuningResourceConfig")
    if flexible is None:
        raise ValidationException("ResourceConfig or HyperParameterTuningResourceConfig is required")
    first = (flexible.get("InstanceConfigs") or [flexible])[0]
    chosen = {
        field: first[field] for field in ("InstanceType", "InstanceCount", "VolumeSizeInGB") if field in first
    }
    if "VolumeKmsKeyId" in flexible:
        chosen["VolumeKmsKeyId"] = flexible["VolumeKmsKeyId"]
    return chosen
