"""Batch transform: every object under a prefix through a model, one answer object each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from airflow_sagemaker.specs.base import JsonObject, Places, Spec, text_map

MAX_MB_UNDER_WAY = 100
"""Most of ``MaxConcurrentTransforms`` times ``MaxPayloadInMB`` (API reference of CreateTransformJob)."""


def within_what_may_be_under_way(max_concurrent: int, info: ValidationInfo) -> int:
    """The number of concurrent requests, or an error where their payloads together are too much."""
    payload_mb = info.data.get("max_payload_mb", 0)
    if max_concurrent * payload_mb > MAX_MB_UNDER_WAY:
        raise ValueError(
            f"{max_concurrent} requests of {payload_mb} MB are more than the {MAX_MB_UNDER_WAY} MB that may "
            "be under way; lower max_concurrent or max_payload_mb"
        )
    return max_concurrent


class TransformResources(Spec):
    """Machines of a transform job; it takes no volume."""

    instance_type: str = "ml.m5.large"
    instance_count: int = Field(default=1, ge=1)


class TransformJob(Spec):
    """A registered model version applied to objects in S3."""

    model_package_arn: str
    source: str
    destination: str
    content_type: str = "text/csv"
    accept: str = "text/csv"
    split: Literal["None", "Line", "RecordIO", "TFRecord"] = "Line"
    strategy: Literal["MultiRecord", "SingleRecord"] = "MultiRecord"
    assemble_with: Literal["None", "Line"] = "Line"
    max_payload_mb: int = Field(default=6, ge=0, le=100)
    max_concurrent: int = Field(default=0, ge=0)
    environment: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    resources: TransformResources = TransformResources()
    max_runtime_s: int = Field(default=3600, ge=1)
    """The task stops the job after so long; the service itself sets no limit on a transform job."""
    tags: Mapping[str, str] = Field(default_factory=dict)

    _under_way = field_validator("max_concurrent")(within_what_may_be_under_way)

    def to_request(self, places: Places, model_name: str) -> JsonObject:
        """The body of CreateTransformJob, but for the name and the tags."""
        request: JsonObject = {
            "ModelName": model_name,
            "MaxConcurrentTransforms": self.max_concurrent,
            "MaxPayloadInMB": self.max_payload_mb,
            "BatchStrategy": self.strategy,
            "TransformInput": {
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": places.s3_uri(self.source)}
                },
                "ContentType": self.content_type,
                "CompressionType": "None",
                "SplitType": self.split,
            },
            "TransformOutput": {
                "S3OutputPath": places.s3_uri(self.destination),
                "Accept": self.accept,
                "AssembleWith": self.assemble_with,
            },
            "TransformResources": {
                "InstanceType": self.resources.instance_type,
                "InstanceCount": self.resources.instance_count,
            },
        }
        if self.environment:
            request["Environment"] = text_map(self.environment)
        return request
