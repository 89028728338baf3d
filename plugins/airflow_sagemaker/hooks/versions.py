"""Model versions as something that is submitted: found by owner and name, made once.

A version has no name of our choosing and, inside a group, no tags. Its owner, name and fingerprint stand in
its CustomerMetadataProperties instead, and the name is the ClientToken too: AWS itself answers a repeated
request with the version of the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_sagemaker.fingerprint import FINGERPRINT_TAG, OWNER_TAG
from airflow_sagemaker.hooks.faults import if_found, translated
from airflow_sagemaker.hooks.request_validation import require_valid
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import JobKind
from airflow_sagemaker.submission import NameTakenError

NAME_PROPERTY = "airflow:name"
KEPT_TAGS = (OWNER_TAG, FINGERPRINT_TAG)
RECENT_VERSIONS = 50
"""How far back a version of this very task is looked for."""


class VersionApi:
    """What :class:`airflow_sagemaker.submission.Submission` needs, of one model package group."""

    def __init__(self, sagemaker: SageMakerHook, group: str) -> None:
        self.sagemaker = sagemaker
        self.group = group
        self._arns: dict[str, str] = {}

    @property
    def _client(self) -> Any:
        return self.sagemaker.client("sagemaker")

    def arn(self, name: str) -> str:
        """The ARN of a version that was made or found here."""
        return self._arns[name]

    def create(self, kind: JobKind, request: Mapping[str, Any]) -> None:
        """Create the version; :class:`NameTakenError` where this task made one of that name before."""
        body = dict(request)
        name = body.pop(kind.name_field)
        tags = {tag["Key"]: tag["Value"] for tag in body.pop("Tags")}
        body["CustomerMetadataProperties"] = {
            **body.get("CustomerMetadataProperties", {}),
            **{key: tags[key] for key in KEPT_TAGS},
            NAME_PROPERTY: name,
        }
        body["ClientToken"] = name
        require_valid("CreateModelPackage", body, self._client.meta.service_model)
        if self._find(name, tags[OWNER_TAG]):
            raise NameTakenError(name)
        # The SDK's ModelPackage.create() of 3.27 raises KeyError after the call.
        with translated(f"Model package of group {self.group!r}"):
            self._arns[name] = str(self._client.create_model_package(**body)["ModelPackageArn"])

    def describe(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        """The version that :meth:`create` met under the name."""
        if name not in self._arns:
            return None
        return if_found(
            f"{kind.noun.capitalize()} {name!r}",
            self._client.describe_model_package,
            ModelPackageName=self._arns[name],
        )

    def tags(self, arn: str) -> dict[str, str]:
        """What stands in the place of tags."""
        with translated(f"Model package {arn}"):
            described = self._client.describe_model_package(ModelPackageName=arn)
        return dict(described.get("CustomerMetadataProperties", {}))

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """A version is made once, and no try stops it: it needs no mark of who works with it."""

    def stop(self, kind: JobKind, name: str) -> bool:
        """A version runs nothing that could be stopped."""
        return False

    def _find(self, name: str, owner: str) -> bool:
        for arn in self._recent():
            properties = self.tags(arn)
            if properties.get(OWNER_TAG) == owner and properties.get(NAME_PROPERTY) == name:
                self._arns[name] = arn
                return True
        return False

    def _recent(self) -> Iterator[str]:
        with translated(f"Versions of {self.group!r}"):
            pages = self._client.get_paginator("list_model_packages").paginate(
                ModelPackageGroupName=self.group,
                SortBy="CreationTime",
                SortOrder="Descending",
                PaginationConfig={"MaxItems": RECENT_VERSIONS},
            )
            arns = [
                str(found["ModelPackageArn"]) for page in pages for found in page["ModelPackageSummaryList"]
            ]
        yield from arns
