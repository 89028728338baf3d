"""Jobs of every kind through one hook: create by the SDK, everything else by the client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.validate import ParamValidator
from pydantic import ValidationError

from airflow_sagemaker.errors import RequestRejectedError
from airflow_sagemaker.hooks import sdk
from airflow_sagemaker.hooks.faults import (
    as_sagemaker_error,
    has_ended,
    if_found,
    is_missing,
    is_taken,
    translated,
)
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
        shape = self._client.meta.service_model.operation_model(operation).input_shape
        report = ParamValidator().validate(dict(request), shape)
        if report.has_errors():
            raise RequestRejectedError(operation, report.generate_report(), "Correct the spec of the task")

    def create(self, kind: JobKind, request: Mapping[str, Any]) -> None:
        """Create a job; :class:`NameTakenError` where the name is in use."""
        self.create_resource(kind.title, kind.name_field, request)

    def create_resource(self, resource: str, name_field: str, request: Mapping[str, Any]) -> None:
        """Create by the SDK; :class:`NameTakenError` where the name is in use."""
        thing = f"{resource} {request[name_field]!r}"
        self.validate(f"Create{resource}", request)
        try:
            sdk.create(self.sagemaker, resource, request)
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

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of a resource."""
        with translated(f"Tags of {arn}"):
            pages = self._client.get_paginator("list_tags").paginate(ResourceArn=arn)
            return {tag["Key"]: tag["Value"] for page in pages for tag in page.get("Tags", [])}

    def stop(self, kind: JobKind, name: str) -> None:
        """Stop a job; one that has ended, or is not there, is left as it is."""
        call = getattr(self._client, f"stop_{kind.operation}")
        with translated(f"{kind.noun.capitalize()} {name!r}"):
            try:
                call(**{kind.name_field: name})
            except ClientError as error:
                if not (is_missing(error) or has_ended(error)):
                    raise
