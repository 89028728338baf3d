"""What the cache knows of AWS: objects in S3, digests in ECR, models, and the index itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_sagemaker.cache import Found
from airflow_sagemaker.cache_key import MAX_LISTED_OBJECTS, Objects, Parts, UncacheableError
from airflow_sagemaker.errors import SageMakerError
from airflow_sagemaker.hooks.faults import as_sagemaker_error, if_found, translated
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.hooks.object_storage import ObjectStorageHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import JobKind

ECR_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/"
    r"(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
MANIFEST_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)


class CacheHook:
    """What :class:`airflow_sagemaker.cache.Cache` needs of AWS."""

    def __init__(self, sagemaker: SageMakerHook) -> None:
        self.sagemaker = sagemaker
        self._storage = ObjectStorageHook(sagemaker=sagemaker)
        self._jobs = JobHook(sagemaker)

    def image_digest(self, uri: str) -> str:
        """The digest in the URI, or the one that its tag has in ECR now."""
        if "@sha256:" in uri:
            return uri.partition("@")[2]
        found = ECR_URI.fullmatch(uri)
        if found is None:
            raise UncacheableError(f"the image {uri} is not in ECR and has no digest in its name")
        # Of ECR's reads this is the one that whoever may pull an image may do.
        client = self.sagemaker.session.client("ecr", region_name=found["region"])
        try:
            answer = client.batch_get_image(
                registryId=found["account"],
                repositoryName=found["repository"],
                imageIds=[{"imageTag": found["tag"] or "latest"}],
                acceptedMediaTypes=list(MANIFEST_TYPES),
            )
        except (ClientError, BotoCoreError) as error:
            raise UncacheableError(
                f"ECR does not tell the digest of {uri} ({as_sagemaker_error(error, 'ECR').cause})"
            ) from error
        if not answer["images"]:
            why = "; ".join(failure.get("failureReason", "?") for failure in answer.get("failures", []))
            raise UncacheableError(f"ECR has no digest for {uri} ({why or 'no such image'})")
        return str(answer["images"][0]["imageId"]["imageDigest"])

    def objects(self, uri: str) -> Objects:
        """ETag and size of every object under a prefix, by what a container would see of its key."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        folder = prefix if prefix.endswith("/") else f"{prefix}/"
        parent = prefix.rpartition("/")[0]
        seen: dict[str, str] = {}
        for entry in self._entries(bucket, prefix):
            key = entry["Key"]
            beside = key.removeprefix(parent).lstrip("/")
            if key.startswith(folder):
                relative = key.removeprefix(folder)
            else:  # the object itself, or one whose name only begins like the prefix
                relative = beside if key == prefix else f"../{beside}"
            etag = entry["ETag"].strip('"')
            seen[relative] = f"{etag} {entry['Size']}"
        return seen

    def model(self, name: str) -> Parts:
        """The containers of a model: images by digest, artefacts by content, environment."""
        with translated(f"Model {name!r}"):
            described = self._client.describe_model(ModelName=name)
        containers = described.get("Containers") or [described["PrimaryContainer"]]
        return {f"container {number}": self._container(given) for number, given in enumerate(containers)}

    def _container(self, given: Mapping[str, Any]) -> Parts:
        package = given.get("ModelPackageName")
        if package is None:
            return self._resolved(given)
        with translated(f"Model package {package}"):
            found = self._client.describe_model_package(ModelPackageName=package)
        inside = found["InferenceSpecification"]["Containers"]
        environment = dict(given.get("Environment", {}))
        return {
            **{f"packaged {number}": self._resolved(each) for number, each in enumerate(inside)},
            "environment": environment,
        }

    def _resolved(self, container: Mapping[str, Any]) -> Parts:
        artefact = container.get("ModelDataUrl")
        if artefact is None and "ModelDataSource" in container:
            raise UncacheableError("the model's artefact is given as ModelDataSource")
        return {
            "image": container.get("ImageDigest") or self.image_digest(container["Image"]),
            "artefact": dict(self.objects(artefact)) if artefact else {},
            "environment": dict(container.get("Environment", {})),
        }

    def describe(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        """The job, or None if there is none."""
        return self._jobs.describe(kind, name)

    def documents(self, prefix: str, limit: int) -> list[Found]:
        """The newest documents under a prefix, newest first."""
        bucket, key = self._storage.split(prefix)
        entries = sorted(self._entries(bucket, key), key=lambda entry: entry["LastModified"], reverse=True)
        found = ((f"s3://{bucket}/{entry['Key']}", entry) for entry in entries[:limit])
        read = ((location, self.read(location)) for location, _ in found)
        return [Found(location, document) for location, document in read if document is not None]

    def read(self, location: str) -> dict[str, Any] | None:
        """A document, or None if there is none, or it is no document of ours."""
        if not self._storage.exists(location):
            return None
        try:
            document = self._storage.read_json(location)
        except (ValueError, SageMakerError):
            return None
        return document if isinstance(document, dict) and document.get("version") == 1 else None

    def write(self, location: str, document: Mapping[str, Any]) -> None:
        """Put a document; S3 shows it whole or not at all."""
        self._storage.write_json(location, dict(document))

    def delete(self, location: str) -> None:
        """Delete a document; one that is not there is no error."""
        self._storage.delete(location)

    def changed_after(self, uri: str, moment: datetime) -> bool:
        """Whether the object was written after a moment, or is not there."""
        bucket, key = self._storage.split(uri)
        head = if_found(f"Object {uri}", self._s3.head_object, Bucket=bucket, Key=key)
        return head is None or bool(head["LastModified"] > moment)

    def _entries(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        with translated(f"Prefix s3://{bucket}/{prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": MAX_LISTED_OBJECTS}
            )
            for page in pages:
                yield from page.get("Contents", [])

    @property
    def _client(self) -> Any:
        return self.sagemaker.client("sagemaker")

    @property
    def _s3(self) -> Any:
        return self.sagemaker.client("s3")
