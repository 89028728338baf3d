"""The trigger forms of a pipeline's DAGs: what a person may set for one run, with types and help texts."""

from __future__ import annotations

from datetime import date
from typing import Any

from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

from airflow_sagemaker.specs.hyperparameter import Hyperparameter
from airflow_sagemaker.specs.pipeline import Pipeline

MODEL_PACKAGE_PATTERN = r"^arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:model-package/[^/]+/\d+$"


def build_params(pipeline: Pipeline) -> ParamsDict:
    """Which days a build learns from, and its hyperparameters."""
    return ParamsDict(
        {
            "first_partition": _day(
                pipeline.data.first_partition,
                "First day",
                "First daily partition of raw data that the model learns from.",
            ),
            "last_partition": _day(
                pipeline.data.last_partition,
                "Last day",
                "Last daily partition of raw data, included. The newest days are the test set.",
            ),
            **{
                name: _hyperparameter(name, given)
                for name, given in pipeline.training.hyperparameters.items()
            },
        }
    )


def rollout_params(pipeline: Pipeline) -> ParamsDict:
    """Which model version goes live."""
    return ParamsDict({"model_package_arn": _model_package(pipeline, "to roll out")})


def nightly_params(pipeline: Pipeline) -> ParamsDict:
    """Which day is scored with which model version."""
    return ParamsDict(
        {
            "partition": Param(
                None,
                type=["null", "string"],
                format="date",
                title="Day",
                description="Daily partition to score; if empty, that of the day of the run's logical date.",
            ),
            "model_package_arn": _model_package(pipeline, "to score with"),
        }
    )


def _day(default: date, title: str, description: str) -> Param:
    return Param(
        default.isoformat(),
        type="string",
        format="date",
        title=title,
        description=description,
        section="Data",
    )


def _model_package(pipeline: Pipeline, purpose: str) -> Param:
    return Param(
        None,
        type=["null", "string"],
        pattern=MODEL_PACKAGE_PATTERN,
        title="Model version",
        description=(
            f"ARN of the approved model package of the group {pipeline.model_package_group} {purpose}; "
            "leave empty for the newest approved one."
        ),
    )


def _hyperparameter(name: str, given: Hyperparameter) -> Param:
    kinds: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
    limits: dict[str, Any] = {
        "minimum": given.minimum,
        "maximum": given.maximum,
        "enum": list(given.choices) or None,
    }
    schema: dict[str, Any] = {keyword: limit for keyword, limit in limits.items() if limit is not None}
    return Param(
        given.value,
        type=kinds[type(given.value)],
        title=name,
        description=given.help,
        section="Hyperparameters",
        **schema,
    )
