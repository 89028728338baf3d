"""Model versions in the registry, and the models that endpoints and transform jobs are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field

from airflow_sagemaker.specs.base import JsonObject, Places, Spec, text_map

ApprovalStatus: TypeAlias = Literal["Approved", "Rejected", "PendingManualApproval"]


class ModelPackage(Spec):
    """A version of a model in a model package group: image, artefact and how well it does."""

    group: str
    image: str
    model_uri: str
    content_types: tuple[str, ...] = ("text/csv",)
    response_types: tuple[str, ...] = ("text/csv",)
    approval: ApprovalStatus = "PendingManualApproval"
    metrics: str | None = None
    """Location of the evaluation's JSON file."""
    description: str | None = None
    group_description: str | None = None
    realtime_instance_types: tuple[str, ...] = ("ml.m5.large",)
    transform_instance_types: tuple[str, ...] = ("ml.m5.large",)
    environment: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    metadata: Mapping[str, str | int | float | bool] = Field(default_factory=dict)

    def to_request(self, places: Places) -> JsonObject:
        """The body of CreateModelPackage."""
        container: JsonObject = {
            "Image": places.image_uri(self.image),
            "ModelDataUrl": places.s3_uri(self.model_uri),
        }
        if self.environment:
            container["Environment"] = text_map(self.environment)
        request: JsonObject = {
            "ModelPackageGroupName": self.group,
            "ModelApprovalStatus": self.approval,
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": list(self.content_types),
                "SupportedResponseMIMETypes": list(self.response_types),
                "SupportedRealtimeInferenceInstanceTypes": list(self.realtime_instance_types),
                "SupportedTransformInstanceTypes": list(self.transform_instance_types),
            },
        }
        if self.description:
            request["ModelPackageDescription"] = self.description
        if self.metrics:
            request["ModelMetrics"] = {
                "ModelQuality": {
                    "Statistics": {"ContentType": "application/json", "S3Uri": places.s3_uri(self.metrics)}
                }
            }
        if self.metadata:
            request["CustomerMetadataProperties"] = text_map(self.metadata)
        return request


class PackagedModel(Spec):
    """A deployable model made of nothing but a registered version."""

    model_package_arn: str
    environment: Mapping[str, str | int | float | bool] = Field(default_factory=dict)

    def to_request(self, places: Places) -> JsonObject:
        """The body of CreateModel, but for the name and the tags."""
        container: JsonObject = {"ModelPackageName": self.model_package_arn}
        if self.environment:
            container["Environment"] = text_map(self.environment)
        return {"PrimaryContainer": container, "ExecutionRoleArn": places.role_arn}

    @property
    def stem(self) -> str:
        """A readable start of the model's name: ``arn:…:model-package/<group>/<version>``."""
        return "-".join(self.model_package_arn.split("/")[1:]) or "model"
