"""What lies about in an account, and its removal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from airflow_sagemaker.deployment import DEPLOYMENT_TAG
from airflow_sagemaker.hooks.faults import if_found, translated
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.hooks.running_jobs import OUR_NAME
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import KINDS, TUNING, JobKind
from airflow_sagemaker.retention import ConfigInUse, Inventory, Made

LOG_STREAMS_A_RUN = 200
"""Of each kind: what is left goes with the next run."""


class HousekeepingHook:
    """Models, endpoint configs, endpoints and logs of jobs."""

    def __init__(self, sagemaker: SageMakerHook) -> None:
        self.sagemaker = sagemaker
        self._jobs = JobHook(sagemaker)

    @property
    def _client(self) -> Any:
        return self.sagemaker.client("sagemaker")

    def inventory(self) -> Inventory:
        """All models, configs and endpoints of the account, and what they use."""
        with translated("Models, endpoint configs and endpoints"):
            configs = {
                made: self._served(made.name) for made in self._made("EndpointConfig", "EndpointConfigs")
            }
            return Inventory(
                models=list(self._made("Model", "Models")),
                configs=configs,
                endpoints=list(self._endpoints()),
                transforms=frozenset(self._transforms()),
            )

    def is_made_by(self, deployment: str, arn: str) -> bool:
        """Whether that Airflow made it."""
        return self._jobs.tags(arn).get(DEPLOYMENT_TAG) == deployment

    def is_approved(self, model_name: str) -> bool:
        """Whether the model is made of an approved version, which any run may choose."""
        model = if_found(f"Model {model_name!r}", self._client.describe_model, ModelName=model_name) or {}
        containers = [*model.get("Containers", []), model.get("PrimaryContainer", {})]
        arns = [container["ModelPackageName"] for container in containers if "ModelPackageName" in container]
        for arn in arns:
            describe = self._client.describe_model_package
            version = if_found(f"Model package {arn}", describe, ModelPackageName=arn) or {}
            if version.get("ModelApprovalStatus") == "Approved":
                return True
        return False

    def delete_config(self, name: str) -> None:
        """Delete an endpoint config; one that is not there is no error."""
        delete = self._client.delete_endpoint_config
        if_found(f"Endpoint config {name!r}", delete, EndpointConfigName=name)

    def delete_model(self, name: str) -> None:
        """Delete a model, not its version; one that is not there is no error."""
        if_found(f"Model {name!r}", self._client.delete_model, ModelName=name)

    def old_log_streams(self, before: datetime, deployment: str) -> Iterator[tuple[str, str]]:
        """Group and stream of what jobs of that Airflow printed, and nobody since ``before``."""
        for kind in KINDS.values():
            if kind is TUNING:  # prints nothing itself
                continue
            with translated(f"Log group {kind.log_group}"):
                streams = list(self._streams(kind, before))
            owned: dict[str, bool] = {}
            for stream in streams:
                job_name = stream.partition("/")[0]
                if OUR_NAME.search(job_name):
                    if job_name not in owned:
                        described = self._jobs.describe(kind, job_name)
                        owned[job_name] = described is not None and self.is_made_by(
                            deployment, described[kind.arn_field]
                        )
                    if owned[job_name]:
                        yield kind.log_group, stream

    def delete_log_stream(self, group: str, stream: str) -> None:
        """Delete what one job printed on one instance."""
        delete = self.sagemaker.client("logs").delete_log_stream
        if_found(f"Log stream {stream!r}", delete, logGroupName=group, logStreamName=stream)

    def _made(self, resource: str, field: str) -> Iterator[Made]:
        operation = {"Model": "list_models", "EndpointConfig": "list_endpoint_configs"}[resource]
        for page in self._client.get_paginator(operation).paginate():
            for found in page[field]:
                yield Made(found[f"{resource}Name"], found[f"{resource}Arn"], found["CreationTime"])

    def _served(self, config_name: str) -> frozenset[str]:
        config: Mapping[str, Any] = (
            if_found(config_name, self._client.describe_endpoint_config, EndpointConfigName=config_name) or {}
        )
        variants = [*config.get("ProductionVariants", []), *config.get("ShadowProductionVariants", [])]
        return frozenset(variant["ModelName"] for variant in variants if "ModelName" in variant)

    def _endpoints(self) -> Iterator[ConfigInUse]:
        for page in self._client.get_paginator("list_endpoints").paginate():
            for found in page["Endpoints"]:
                name = found["EndpointName"]
                endpoint = if_found(name, self._client.describe_endpoint, EndpointName=name) or {}
                pending = endpoint.get("PendingDeploymentSummary", {})
                configs = (endpoint.get("EndpointConfigName"), pending.get("EndpointConfigName"))
                yield ConfigInUse(name, frozenset(config for config in configs if config))

    def _transforms(self) -> Iterator[str]:
        for page in self._client.get_paginator("list_transform_jobs").paginate(StatusEquals="InProgress"):
            for found in page["TransformJobSummaries"]:
                name = found["TransformJobName"]
                job = if_found(name, self._client.describe_transform_job, TransformJobName=name) or {}
                if "ModelName" in job:
                    yield job["ModelName"]

    def _streams(self, kind: JobKind, before: datetime) -> Iterator[str]:
        """The streams that were written to longest ago first."""
        client = self.sagemaker.client("logs")
        pages = client.get_paginator("describe_log_streams").paginate(
            logGroupName=kind.log_group,
            orderBy="LastEventTime",
            PaginationConfig={"MaxItems": LOG_STREAMS_A_RUN},
        )
        try:
            for page in pages:
                for stream in page["logStreams"]:
                    last_ms = stream.get("lastEventTimestamp", stream["creationTime"])
                    if last_ms >= before.timestamp() * 1000:
                        return
                    yield stream["logStreamName"]
        except client.exceptions.ResourceNotFoundException:
            return  # nothing has printed there yet
