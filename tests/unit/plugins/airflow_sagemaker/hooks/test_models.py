"""Models and configs against moto."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sagemaker.errors import ForeignResourceError
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.hooks.models import ModelHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.specs.endpoint import EndpointRollout
from airflow_sagemaker.specs.model import PackagedModel

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/digits/3"


@pytest.fixture
def models(moto_connection: str) -> ModelHook:
    return ModelHook(SageMakerHook())


def test_the_same_version_is_one_model(models: ModelHook, monkeypatch: pytest.MonkeyPatch) -> None:
    name = models.ensure_model(PackagedModel(model_package_arn=ARN))
    assert name.startswith("digits-3-")

    def create(*_: Any) -> None:
        raise AssertionError("made twice")

    monkeypatch.setattr(JobHook, "create_resource", create)
    assert models.ensure_model(PackagedModel(model_package_arn=ARN)) == name


def test_another_environment_is_another_model(models: ModelHook) -> None:
    plain = models.ensure_model(PackagedModel(model_package_arn=ARN))
    assert models.ensure_model(PackagedModel(model_package_arn=ARN, environment={"A": "1"})) != plain


def test_a_config_is_named_by_its_endpoint_and_content(models: ModelHook) -> None:
    rollout = EndpointRollout(endpoint_name="digits", model_package_arn=ARN)
    model = models.ensure_model(rollout.to_model())
    name = models.ensure_endpoint_config(rollout, model)
    assert name.startswith("digits-")
    assert models.ensure_endpoint_config(rollout, model) == name
    bigger = rollout.model_copy(update={"instance_count": 2})
    assert models.ensure_endpoint_config(bigger, model) != name


def test_a_model_of_our_name_that_holds_something_else_is_refused(models: ModelHook) -> None:
    name = models.ensure_model(PackagedModel(model_package_arn=ARN))
    client = models.sagemaker.client("sagemaker")
    arn = client.describe_model(ModelName=name)["ModelArn"]
    client.delete_tags(ResourceArn=arn, TagKeys=["airflow:fingerprint"])
    with pytest.raises(ForeignResourceError, match=name):
        models.ensure_model(PackagedModel(model_package_arn=ARN))
