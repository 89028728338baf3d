"""Models and endpoint configs: things that are what they hold, named by their content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_sagemaker.deployment import deployment_tags
from airflow_sagemaker.errors import ForeignResourceError
from airflow_sagemaker.fingerprint import FINGERPRINT_TAG, fingerprint, tag_list
from airflow_sagemaker.hooks.faults import if_found
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.names import content_name
from airflow_sagemaker.specs.endpoint import EndpointRollout
from airflow_sagemaker.specs.model import PackagedModel
from airflow_sagemaker.submission import NameTakenError


class ModelHook:
    """Make a model or an endpoint config unless the very same is there already."""

    def __init__(self, sagemaker: SageMakerHook) -> None:
        self.sagemaker = sagemaker
        self._jobs = JobHook(sagemaker)

    def ensure_model(self, model: PackagedModel) -> str:
        """The name of a model made of nothing but a registered version."""
        return self._ensure("Model", "describe_model", model.stem, model.to_request(self.sagemaker), {})

    def ensure_endpoint_config(self, rollout: EndpointRollout, model_name: str) -> str:
        """The name of the config that serves a model as the rollout says."""
        body = rollout.to_config_request(model_name)
        return self._ensure(
            "EndpointConfig", "describe_endpoint_config", rollout.endpoint_name, body, rollout.tags
        )

    def _ensure(
        self, resource: str, describe: str, stem: str, body: Mapping[str, Any], tags: Mapping[str, str]
    ) -> str:
        content = fingerprint(f"Create{resource}", body)
        name_field, name = f"{resource}Name", content_name(stem, content)
        found = self._describe(describe, name_field, name)
        if found is None:
            owned = {**tags, **deployment_tags(), FINGERPRINT_TAG: content}
            request = {name_field: name, **body, "Tags": tag_list(owned)}
            try:
                self._jobs.create_resource(resource, name_field, request)
            except NameTakenError:
                found = self._describe(describe, name_field, name)
        if found is not None:
            self._require_same(f"{resource} {name!r}", found[f"{resource}Arn"], content)
        return name

    def _describe(self, operation: str, name_field: str, name: str) -> dict[str, Any] | None:
        call = getattr(self.sagemaker.client("sagemaker"), operation)
        return if_found(name, call, **{name_field: name})

    def _require_same(self, thing: str, arn: str, content: str) -> None:
        """A name by content holds that content, unless something else made it."""
        if self._jobs.tags(arn).get(FINGERPRINT_TAG) != content:
            raise ForeignResourceError(
                thing, "it exists with other content and was not made here", "Delete or rename it"
            )
