"""Endpoints: describe, create, update, delete, invoke."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_sagemaker.fingerprint import tag_list
from airflow_sagemaker.hooks.faults import if_found, translated
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.specs.base import JsonObject


class EndpointHook:
    """Calls about one endpoint."""

    def __init__(self, sagemaker: SageMakerHook, endpoint_name: str) -> None:
        self.sagemaker = sagemaker
        self.endpoint_name = endpoint_name

    @property
    def thing(self) -> str:
        """As errors and log lines name it."""
        return f"Endpoint {self.endpoint_name!r}"

    @property
    def _client(self) -> Any:
        return self.sagemaker.client("sagemaker")

    def describe(self) -> JsonObject | None:
        """The endpoint, or None if there is none."""
        return if_found(self.thing, self._client.describe_endpoint, EndpointName=self.endpoint_name)

    def create(self, config_name: str, tags: Mapping[str, str]) -> None:
        """Create the endpoint; :class:`NameTakenError` where somebody else just did."""
        request: JsonObject = {"EndpointName": self.endpoint_name, "EndpointConfigName": config_name}
        if tags:
            request["Tags"] = tag_list(tags)
        JobHook(self.sagemaker).create_resource("Endpoint", "EndpointName", request)

    def update(self, config_name: str) -> None:
        """Begin to replace what the endpoint serves; it goes on answering meanwhile."""
        # The SDK's Endpoint.update() of 3.27 sends the config that the endpoint has, hence the client.
        with translated(self.thing):
            self._client.update_endpoint(EndpointName=self.endpoint_name, EndpointConfigName=config_name)

    def delete(self) -> None:
        """Begin to delete the endpoint; one that is not there is no error."""
        if_found(self.thing, self._client.delete_endpoint, EndpointName=self.endpoint_name)

    def invoke(self, body: bytes, content_type: str, accept: str) -> tuple[str, bytes]:
        """The variant that answered, and its answer."""
        with translated(self.thing):
            answer = self.sagemaker.client("sagemaker-runtime").invoke_endpoint(
                EndpointName=self.endpoint_name, Body=body, ContentType=content_type, Accept=accept
            )
            return str(answer.get("InvokedProductionVariant", "")), answer["Body"].read()
