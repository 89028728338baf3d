"""Operations of trials, and which trial components belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_local.experiments import records
from sagemaker_local.experiments.records import COMPONENT, EXPERIMENT, TRIAL
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services
from sagemaker_local.store import Record


async def create(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """CreateTrial: of an experiment that is there."""
    with services.store.transaction():
        experiment = records.get(services, EXPERIMENT, request["ExperimentName"])
        return records.create(services, TRIAL, {**request, "ExperimentName": experiment.name})


async def describe(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeTrial."""
    return records.get(services, TRIAL, request["TrialName"]).document


async def update(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateTrial."""
    return records.update(services, TRIAL, request)


async def list_(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListTrials: all, those of an experiment, those with a component."""
    found = services.store.list(TRIAL.kind)
    if name := request.get("ExperimentName"):
        found = records.trials_of(services, name)
    if name := request.get("TrialComponentName"):
        with_it = {each.name for each in records.trials_with(services, name)}
        found = [each for each in found if each.name in with_it]
    return records.list_(services, TRIAL, request, found)


async def delete(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteTrial: only when no component belongs to it."""
    with services.store.transaction():
        trial = records.get(services, TRIAL, request["TrialName"])
        return records.delete(services, TRIAL, request, trial.private.get("components", []))


async def associate(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """AssociateTrialComponent; again is no error."""
    return _associate(services, request, belongs=True)


async def disassociate(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DisassociateTrialComponent."""
    return _associate(services, request, belongs=False)


def _associate(services: Services, request: dict[str, Any], *, belongs: bool) -> dict[str, Any]:
    with services.store.transaction():
        component = records.get(services, COMPONENT, request["TrialComponentName"])
        trial = records.get(services, TRIAL, request["TrialName"])

        def change(record: Record) -> None:
            others = [name for name in record.private.get("components", []) if name != component.name]
            record.private["components"] = [*others, component.name] if belongs else others

        services.store.update(TRIAL.kind, trial.name, change)
    return {"TrialComponentArn": component.arn, "TrialArn": trial.arn}


OPERATIONS: Mapping[str, Handler] = {
    "CreateTrial": create,
    "DescribeTrial": describe,
    "UpdateTrial": update,
    "ListTrials": list_,
    "DeleteTrial": delete,
    "AssociateTrialComponent": associate,
    "DisassociateTrialComponent": disassociate,
}
