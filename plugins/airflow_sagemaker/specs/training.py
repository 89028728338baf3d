"""Training jobs: data channels in, one ``model.tar.gz`` out."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from airflow_sagemaker.specs.base import JsonObject, Places, Resources, Spec, text_map


class Channel(Spec):
    """Objects under ``source`` appear in the container under ``/opt/ml/input/data/<channel>``."""

    source: str
    content_type: str | None = None


class MetricDefinition(Spec):
    """A regular expression that reads a metric from the job's log."""

    name: str
    regex: str


class TrainingJob(Spec):
    """An image whose ``train`` program learns from channels."""

    image: str
    output: str
    hyperparameters: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    channels: Mapping[str, Channel] = Field(default_factory=dict)
    environment: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    resources: Resources = Resources()
    max_runtime_s: int = Field(default=3600, ge=1, le=2419200)
    metric_definitions: tuple[MetricDefinition, ...] = ()
    tags: Mapping[str, str] = Field(default_factory=dict)

    def to_request(self, places: Places) -> JsonObject:
        """The body of CreateTrainingJob, but for the name and the tags."""
        algorithm: JsonObject = {
            "TrainingImage": places.image_uri(self.image),
            "TrainingInputMode": "File",
        }
        if self.metric_definitions:
            algorithm["MetricDefinitions"] = [
                {"Name": metric.name, "Regex": metric.regex} for metric in self.metric_definitions
            ]
        request: JsonObject = {
            "AlgorithmSpecification": algorithm,
            "OutputDataConfig": {"S3OutputPath": places.s3_uri(self.output)},
            "ResourceConfig": self.resources.to_cluster(),
            "RoleArn": places.role_arn,
            "StoppingCondition": {"MaxRuntimeInSeconds": self.max_runtime_s},
        }
        if self.hyperparameters:
            request["HyperParameters"] = text_map(self.hyperparameters)
        if self.environment:
            request["Environment"] = text_map(self.environment)
        if self.channels:
            request["InputDataConfig"] = [
                _channel_request(name, channel, places) for name, channel in self.channels.items()
            ]
        return request


def _channel_request(name: str, channel: Channel, places: Places) -> JsonObject:
    request: JsonObject = {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": places.s3_uri(channel.source),
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }
    if channel.content_type:
        request["ContentType"] = channel.content_type
    return request
