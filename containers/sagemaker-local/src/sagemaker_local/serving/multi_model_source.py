"""Where a multi-model container's models come from: a prefix in S3, one archive for each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sagemaker_local.errors import AwsError
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.artefact import Artefact, ArtefactError


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One content of one archive.

    Attributes:
        name: What the container calls it: opaque, and another for every content.
        artefact: The archive.
    """

    name: str
    artefact: Artefact


class ModelSource:
    """The archives below a prefix.

    Args:
        prefix: The model's ModelDataUrl.
        objects: Holds them.
    """

    def __init__(self, prefix: Artefact | None, objects: ObjectStore) -> None:
        self._prefix = prefix
        self._objects = objects

    def version(self, target: str) -> ModelVersion | None:
        """What a target model is now, or None when there is no such archive; blocking."""
        try:
            bucket, key = self._location(target)
            info = self._objects.head(bucket, key)
        except (AwsError, ArtefactError):
            return None
        name = hashlib.sha256(f"{bucket}/{key}@{info.etag}".encode()).hexdigest()[:32]
        return ModelVersion(name, Artefact(f"s3://{bucket}/{key}"))

    def not_found(self, target: str) -> str:
        """AWS's words for a target model that is not there."""
        bucket, key = self._location(target)
        return (
            f"Failed to download model data(bucket: {bucket}, key: {key}). Please ensure that there is an "
            "object located at the URL and that the role passed to CreateModel has permissions to download "
            "the model."
        )

    def _location(self, target: str) -> tuple[str, str]:
        if self._prefix is None:
            raise ArtefactError("the model has no ModelDataUrl")
        bucket, prefix = self._prefix.location
        return bucket, f"{prefix.rstrip('/')}/{target.lstrip('/')}".lstrip("/")
