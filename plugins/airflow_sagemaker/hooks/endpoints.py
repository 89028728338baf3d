"""Endpoints: describe, create, update, delete, invoke."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from airflow_sagemaker.errors import InvocationError
from airflow_sagemaker.fingerprint import tag_list
from airflow_sagemaker.hooks.faults import code_of, if_found, message_of, translated
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.specs.base import JsonObject

SHOWN_CHARACTERS = 300
"""How much of a container's refusal an error shows."""


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

    def tags(self, arn: str) -> dict[str, str]:
        """The endpoint's tags."""
        return JobHook(self.sagemaker).tags(arn)

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
        """The variant that answered, and its answer; a container that answers with an error is told apart."""
        with translated(self.thing):
            try:
                answer = self.sagemaker.client("sagemaker-runtime").invoke_endpoint(
                    EndpointName=self.endpoint_name, Body=body, ContentType=content_type, Accept=accept
                )
            except ClientError as error:
                if code_of(error) == "ModelError":
                    raise self._refused(error) from error
                raise
            return str(answer.get("InvokedProductionVariant", "")), answer["Body"].read()

    def _refused(self, error: ClientError) -> InvocationError:
        """What the container answered; ModelError has it beside the message that AWS wraps it in."""
        said = str(error.response.get("OriginalMessage") or message_of(error)).strip()
        shown = said if len(said) <= SHOWN_CHARACTERS else f"{said[:SHOWN_CHARACTERS]}…"
        return InvocationError(
            self.thing,
            f"its container answers {error.response.get('OriginalStatusCode', 'an error')}: {shown}",
            "Read the endpoint's log and compare what the model expects with what was sent",
        )
