"""Endpoints against moto."""

from __future__ import annotations

import pytest

from airflow_sagemaker.hooks.endpoints import EndpointHook
from airflow_sagemaker.hooks.models import ModelHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.specs.endpoint import EndpointRollout

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/digits/3"


@pytest.fixture
def hook(moto_connection: str) -> SageMakerHook:
    return SageMakerHook()


def test_created_described_and_deleted(hook: SageMakerHook) -> None:
    endpoint, models = EndpointHook(hook, "digits"), ModelHook(hook)
    assert endpoint.describe() is None
    rollout = EndpointRollout(endpoint_name="digits", model_package_arn=ARN)
    config = models.ensure_endpoint_config(rollout, models.ensure_model(rollout.to_model()))
    endpoint.create(config, {"team": "ml"})
    described = endpoint.describe()
    assert described is not None
    assert described["EndpointConfigName"] == config
    endpoint.delete()
    assert endpoint.describe() is None
    endpoint.delete()
