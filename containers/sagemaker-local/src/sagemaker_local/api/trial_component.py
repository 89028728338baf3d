"""Operations of trial components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.errors import ValidationException
from sagemaker_local.experiments import records
from sagemaker_local.experiments.records import COMPONENT, TRIAL
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services

MAPS = ("Parameters", "InputArtifacts", "OutputArtifacts")
"""Members that an update adds to, and takes from by ``…ToRemove``."""


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateTrialComponent."""
    return records.create(services, COMPONENT, request)


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeTrialComponent; its metrics are BatchGetMetrics' to tell."""
    return records.get(services, COMPONENT, request["TrialComponentName"]).document


async def update(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateTrialComponent."""

    def change(document: dict[str, Any]) -> None:
        for field in MAPS:
            merged = {**document.get(field, {}), **request.get(field, {})}
            for key in request.get(f"{field}ToRemove", []):
                merged.pop(key, None)
            document[field] = merged
            if not merged:
                del document[field]

    return records.update(services, COMPONENT, request, change)


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListTrialComponents: all, those of a trial, those of an experiment's trials."""
    if request.get("SourceArn"):
        raise ValidationException(
            "The local SageMaker does not support SourceArn: jobs make no trial components here"
        )
    found = services.store.list(COMPONENT.kind)
    trials = None
    if name := request.get("TrialName"):
        trials = [records.get(services, TRIAL, name)]
    elif name := request.get("ExperimentName"):
        trials = records.trials_of(services, name)
    if trials is not None:
        names = {component for trial in trials for component in trial.private.get("components", [])}
        found = [each for each in found if each.name in names]
    return records.list_(services, COMPONENT, request, found)


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteTrialComponent: only when it belongs to no trial."""
    with services.store.transaction():
        trials = [trial.name for trial in records.trials_with(services, request["TrialComponentName"])]
        return records.delete(services, COMPONENT, request, trials)


OPERATIONS: Mapping[str, Handler] = {
    "CreateTrialComponent": create,
    "DescribeTrialComponent": describe,
    "UpdateTrialComponent": update,
    "ListTrialComponents": list_,
    "DeleteTrialComponent": delete,
}
