"""Versions against moto's registry."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_sagemaker.errors import JobFailedError, JobTimedOutError, RequestRejectedError
from airflow_sagemaker.hooks import registry
from airflow_sagemaker.hooks.registry import RegistryHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.names import TaskIdentity
from airflow_sagemaker.specs.model import ModelPackage
from tests.unit.plugins.airflow_sagemaker.fake_aws import Store

FIRST_RUN = TaskIdentity("d", "r1", "register")
SECOND_RUN = TaskIdentity("d", "r2", "register")


@pytest.fixture
def hook(moto_connection: str) -> RegistryHook:
    return RegistryHook(SageMakerHook())


def package(**changes: Any) -> ModelPackage:
    given = {
        "group": "digits",
        "image": "digits",
        "model_uri": "m/model.tar.gz",
        "metadata": {"accuracy": 0.97},
    }
    return ModelPackage.model_validate({**given, **changes})


def register(
    hook: RegistryHook, task: TaskIdentity, store: Store | None = None, **changes: Any
) -> dict[str, Any]:
    kept = Store() if store is None else store
    return hook.register(package(**changes), task, kept, logging.getLogger("test"))


def test_a_task_registers_one_version_however_often_it_runs(hook: RegistryHook) -> None:
    first = register(hook, FIRST_RUN)
    assert first["version"] == 1
    assert register(hook, FIRST_RUN) == first
    assert register(RegistryHook(SageMakerHook()), FIRST_RUN) == first


def test_other_runs_and_other_models_are_versions_of_their_own(hook: RegistryHook) -> None:
    versions = [
        register(hook, FIRST_RUN)["version"],
        register(hook, SECOND_RUN)["version"],
        register(hook, SECOND_RUN, model_uri="m/other.tar.gz")["version"],
    ]
    assert versions == [1, 2, 3]


def test_a_version_keeps_what_was_said_about_it(hook: RegistryHook) -> None:
    arn = register(hook, FIRST_RUN)["model_package_arn"]
    described = hook.sagemaker.client("sagemaker").describe_model_package(ModelPackageName=arn)
    assert described["CustomerMetadataProperties"]["accuracy"] == "0.97"
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    hook.set_approval(arn, "Approved", "bars passed")
    described = hook.sagemaker.client("sagemaker").describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "bars passed"


def test_what_is_registered_is_written_down_before(
    hook: RegistryHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(**_: Any) -> None:
        raise KeyboardInterrupt

    store = Store()
    monkeypatch.setattr(hook.sagemaker.client("sagemaker"), "create_model_package", lost)
    with pytest.raises(KeyboardInterrupt):
        register(hook, FIRST_RUN, store)
    assert set(store[registry.STATE_KEY]) >= {"name", "fingerprint"}


def test_a_version_that_failed_is_registered_anew(
    hook: RegistryHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who has corrected the image clears the task."""
    store = Store()
    first = register(hook, FIRST_RUN, store)
    client = hook.sagemaker.client("sagemaker")
    describe = client.describe_model_package

    def failed(**request: Any) -> Any:
        answer = describe(**request)
        if answer["ModelPackageVersion"] == first["version"]:
            answer["ModelPackageStatus"] = "Failed"
        return answer

    monkeypatch.setattr(client, "describe_model_package", failed)
    second = register(hook, FIRST_RUN, store)
    assert second["version"] == 2
    assert register(hook, FIRST_RUN, store) == second


def test_approving_what_is_not_there_names_it(hook: RegistryHook) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/none/1"
    with pytest.raises(RequestRejectedError, match="model-package/none/1"):
        hook.set_approval(arn, "Approved", "")


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        ("Failed", JobFailedError, "it failed: no image"),
        ("InProgress", JobTimedOutError, "still InProgress after 0 s"),
    ],
)
def test_a_version_that_does_not_complete(
    hook: RegistryHook, monkeypatch: pytest.MonkeyPatch, status: str, error: type[Exception], text: str
) -> None:
    answer = {
        "ModelPackageStatus": status,
        "ModelPackageStatusDetails": {"ValidationStatuses": [{"FailureReason": "no image"}]},
    }
    monkeypatch.setattr(hook.sagemaker.client("sagemaker"), "describe_model_package", lambda **_: answer)
    monkeypatch.setattr(registry, "VERSION_WAIT_S", 0.0)
    monkeypatch.setattr(registry, "VERSION_POLL_S", 0.0)
    with pytest.raises(error, match=text):
        hook._wait("arn:x")
