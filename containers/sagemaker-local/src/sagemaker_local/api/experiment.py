"""Operations of experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.experiments import records
from sagemaker_local.experiments.records import EXPERIMENT
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateExperiment."""
    return records.create(services, EXPERIMENT, request)


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeExperiment."""
    return records.get(services, EXPERIMENT, request["ExperimentName"]).document


async def update(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateExperiment."""
    return records.update(services, EXPERIMENT, request)


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListExperiments."""
    return records.list_(services, EXPERIMENT, request, services.store.list(EXPERIMENT.kind))


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteExperiment: only when it has no trials."""
    with services.store.transaction():
        trials = [trial.name for trial in records.trials_of(services, request["ExperimentName"])]
        return records.delete(services, EXPERIMENT, request, trials)


OPERATIONS: Mapping[str, Handler] = {
    "CreateExperiment": create,
    "DescribeExperiment": describe,
    "UpdateExperiment": update,
    "ListExperiments": list_,
    "DeleteExperiment": delete,
}
