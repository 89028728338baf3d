"""Compilation jobs (Neo): a trained model in, the same model compiled for a target out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from airflow_sagemaker.specs.base import JsonObject, Places, Spec

IF_NOT_FASTER_TAG = "compilation:if-not-faster"
"""CreateCompilationJob has no field for it: the local SageMaker's compilers read this tag, AWS's do not."""


class TargetPlatform(Spec):
    """A target by operating system, architecture and accelerator instead of a device name."""

    os: str
    arch: str
    accelerator: str | None = None


class CompilationJob(Spec):
    """A model artefact, what it expects as input, and what it shall run on."""

    model_uri: str
    framework: str
    input_shapes: Mapping[str, tuple[int, ...]]
    output: str
    framework_version: str | None = None
    target_device: str | None = None
    target_platform: TargetPlatform | None = None
    compiler_options: str | None = None
    if_not_faster: Literal["fail", "serve_original"] = "fail"
    max_runtime_s: int = Field(default=3600, ge=1)
    tags: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.target_device is None) == (self.target_platform is None):
            raise ValueError("give exactly one of target_device and target_platform")
        return self

    def to_request(self, places: Places) -> JsonObject:
        """The body of CreateCompilationJob, but for the name and the owner's tags."""
        model: JsonObject = {
            "S3Uri": places.s3_uri(self.model_uri),
            "DataInputConfig": json.dumps({name: list(shape) for name, shape in self.input_shapes.items()}),
            "Framework": self.framework,
        }
        if self.framework_version:
            model["FrameworkVersion"] = self.framework_version
        output: JsonObject = {"S3OutputLocation": places.s3_uri(self.output)}
        if self.target_device:
            output["TargetDevice"] = self.target_device
        if self.target_platform:
            platform: JsonObject = {"Os": self.target_platform.os, "Arch": self.target_platform.arch}
            if self.target_platform.accelerator:
                platform["Accelerator"] = self.target_platform.accelerator
            output["TargetPlatform"] = platform
        if self.compiler_options:
            output["CompilerOptions"] = self.compiler_options
        request: JsonObject = {
            "RoleArn": places.role_arn,
            "InputConfig": model,
            "OutputConfig": output,
            "StoppingCondition": {"MaxRuntimeInSeconds": self.max_runtime_s},
        }
        if self.if_not_faster != "fail":
            # Part of what is asked for: a request that differs in it alone is other work.
            request["Tags"] = [{"Key": IF_NOT_FASTER_TAG, "Value": self.if_not_faster}]
        return request
