"""Processing jobs: a container that reads folders, writes folders, and ends."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from airflow_sagemaker.specs.base import JsonObject, Places, Resources, Spec, text_map


class ProcessingInput(Spec):
    """Objects under ``source`` appear in the container under ``path``."""

    name: str
    source: str
    path: str


class ProcessingOutput(Spec):
    """Files under ``path`` go to ``destination`` when the program ends."""

    name: str
    path: str
    destination: str


class ProcessingJob(Spec):
    """A program in an image, its folders and its machines."""

    image: str
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    inputs: tuple[ProcessingInput, ...] = ()
    outputs: tuple[ProcessingOutput, ...] = ()
    resources: Resources = Resources()
    max_runtime_s: int = Field(default=3600, ge=1, le=777600)
    tags: Mapping[str, str] = Field(default_factory=dict)

    def to_request(self, places: Places) -> JsonObject:
        """The body of CreateProcessingJob, but for the name and the tags."""
        application: JsonObject = {"ImageUri": places.image_uri(self.image)}
        if self.entrypoint:
            application["ContainerEntrypoint"] = list(self.entrypoint)
        if self.arguments:
            application["ContainerArguments"] = list(self.arguments)
        request: JsonObject = {
            "AppSpecification": application,
            "ProcessingResources": {"ClusterConfig": self.resources.to_cluster()},
            "RoleArn": places.role_arn,
            "StoppingCondition": {"MaxRuntimeInSeconds": self.max_runtime_s},
        }
        if self.environment:
            request["Environment"] = text_map(self.environment)
        if self.inputs:
            request["ProcessingInputs"] = [
                {
                    "InputName": given.name,
                    "S3Input": {
                        "S3Uri": places.s3_uri(given.source),
                        "LocalPath": given.path,
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                        "S3DataDistributionType": "FullyReplicated",
                        "S3CompressionType": "None",
                    },
                }
                for given in self.inputs
            ]
        if self.outputs:
            request["ProcessingOutputConfig"] = {
                "Outputs": [
                    {
                        "OutputName": wanted.name,
                        "S3Output": {
                            "S3Uri": places.s3_uri(wanted.destination),
                            "LocalPath": wanted.path,
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                    for wanted in self.outputs
                ]
            }
        return request
