"""Jobs of every kind through one hook.

Requests are checked against AWS's API model, then sent by the client: the SDK's Create adds two seconds of
imports and a describe call, and nothing else unless its config file holds defaults (ADR 0011).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from airflow_sagemaker.errors import RequestRejectedError
from airflow_sagemaker.fingerprint import tag_list
from airflow_sagemaker.hooks import sdk
from airflow_sagemaker.hooks.faults import (
    as_sagemaker_error,
    has_ended,
    if_found,
    is_missing,
    is_taken,
    translated,
)
from airflow_sagemaker.hooks.request_validation import require_valid
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import JobKind
from airflow_sagemaker.submission import NameTakenError


class JobHook:
    """What :class:`airflow_sagemaker.submission.Submission` needs of AWS."""

    def __init__(self, sagemaker: SageMakerHook) -> None:
        self.sagemaker = sagemaker

    @property
    def _client(self) -> Any:
        return self.sagemaker.client("sagemaker")

    def validate(self, operation: str, request: Mapping[str, Any]) -> None:
        """Refuse, before anything is created, what AWS's own API model would refuse."""
        require_valid(operation, request, self._client.meta.service_model)

    def create(self, kind: JobKind, request: Mapping[str, Any]) -> None:
        """Create a job; :class:`NameTakenError` where the name is in use."""
        self.create_resource(kind.title, kind.name_field, request)

    def create_resource(self, resource: str, name_field: str, request: Mapping[str, Any]) -> None:
        """Create what a request asks for; :class:`NameTakenError` where the name is in use."""
        thing = f"{resource} {request[name_field]!r}"
        self.validate(f"Create{resource}", request)
        try:
            if self.sagemaker.settings.create_with_sdk:
                sdk.create(self.sagemaker, resource, request)
            else:
                getattr(self._client, xform_name(f"Create{resource}"))(**request)
        except ClientError as error:
            if is_taken(error):
                raise NameTakenError(thing) from error
            raise as_sagemaker_error(error, thing) from error
        except BotoCoreError as error:
            raise as_sagemaker_error(error, thing) from error
        except ValidationError as error:
            raise RequestRejectedError(
                thing, f"the SDK refuses the request: {error}", "Correct the spec of the task"
            ) from error

    def describe(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        """The job, or None if there is none."""
        call = getattr(self._client, f"describe_{kind.operation}")
        return if_found(f"{kind.noun.capitalize()} {name!r}", call, **{kind.name_field: name})

    def training_failures(self, tuning_job: str) -> dict[str, str]:
        """Why training jobs of a tuning job failed, the latest hundred of them: their reasons by name."""
        with translated(f"Training jobs of {tuning_job}"):
            found = self._client.list_training_jobs_for_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=tuning_job, StatusEquals="Failed", MaxResults=100
            )
        jobs = found["TrainingJobSummaries"]
        return {job["TrainingJobName"]: job.get("FailureReason", "AWS gives no reason") for job in jobs}

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of a resource."""
        with translated(f"Tags of {arn}"):
            pages = self._client.get_paginator("list_tags").paginate(ResourceArn=arn)
            return {tag["Key"]: tag["Value"] for page in pages for tag in page.get("Tags", [])}

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags to a resource, or replace their values."""
        with translated(f"Tags of {arn}"):
            self._client.add_tags(ResourceArn=arn, Tags=tag_list(tags))

    def stop(self, kind: JobKind, name: str) -> bool:
        """Stop a job; False for one that has ended or is not there, which is left as it is."""
        call = getattr(self._client, f"stop_{kind.operation}")
        with translated(f"{kind.noun.capitalize()} {name!r}"):
            try:
                call(**{kind.name_field: name})
            except ClientError as error:
                if not (is_missing(error) or has_ended(error)):
                    raise
                return False
        return True
