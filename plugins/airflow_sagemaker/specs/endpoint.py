"""Endpoints: which model version serves under a name, and on what."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from airflow_sagemaker.specs.base import JsonObject, Spec
from airflow_sagemaker.specs.model import PackagedModel


class EndpointRollout(Spec):
    """An endpoint and the registered model version that it shall serve."""

    endpoint_name: str
    model_package_arn: str
    variant_name: str = "AllTraffic"
    instance_type: str = "ml.m5.large"
    instance_count: int = Field(default=1, ge=1)
    environment: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    max_rollout_s: int = Field(default=3600, ge=1)
    tags: Mapping[str, str] = Field(default_factory=dict)

    def to_model(self) -> PackagedModel:
        """The model that the endpoint needs."""
        return PackagedModel(model_package_arn=self.model_package_arn, environment=self.environment)

    def to_config_request(self, model_name: str) -> JsonObject:
        """The body of CreateEndpointConfig, but for the name and the tags."""
        return {
            "ProductionVariants": [
                {
                    "VariantName": self.variant_name,
                    "ModelName": model_name,
                    "InstanceType": self.instance_type,
                    "InitialInstanceCount": self.instance_count,
                    "InitialVariantWeight": 1.0,
                }
            ]
        }
