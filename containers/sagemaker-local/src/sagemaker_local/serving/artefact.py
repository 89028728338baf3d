"""A model's artefact in S3 and how it gets below ``/opt/ml``.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/large-model-inference-uncompressed.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import posixpath
import re
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from sagemaker_local.archives import unpack
from sagemaker_local.errors import AwsError
from sagemaker_local.s3.object_store import ObjectStore

HTTPS_URL = re.compile(
    r"https://(?:s3[.-][^/]*/(?P<path_bucket>[^/]+)|(?P<host_bucket>[^/]+?)\.s3[.-][^/]*)/(?P<key>.*)"
)


class ArtefactError(Exception):
    """The artefact cannot be had; the message is AWS's and becomes a FailureReason."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """Where a model's files lie and in which form.

    Attributes:
        uri: ``s3://bucket/key`` (AWS also takes an https URL of S3).
        is_prefix: All objects below the prefix are files of the model; else the URI is one object.
        compressed: The object is a tar archive, usually gzipped.
    """

    uri: str
    is_prefix: bool = False
    compressed: bool = True

    @classmethod
    def of_source(cls, source: Mapping[str, Any]) -> Artefact:
        """From an ``S3ModelDataSource``."""
        return cls(source["S3Uri"], source["S3DataType"] == "S3Prefix", source["CompressionType"] == "Gzip")

    @property
    def location(self) -> tuple[str, str]:
        """Bucket and key (or key prefix).

        Raises:
            ArtefactError: the URI is not one of S3.
        """
        if self.uri.startswith("s3://"):
            bucket, _, key = self.uri.removeprefix("s3://").partition("/")
            return bucket, key
        match = HTTPS_URL.fullmatch(self.uri)
        if match is None:
            raise ArtefactError(f'Model data URL "{self.uri}" is not a valid S3 URL.')
        return match["path_bucket"] or match["host_bucket"], unquote(match["key"])

    def exists(self, objects: ObjectStore) -> bool:
        """Whether there is anything to download."""
        try:
            bucket, key = self.location
            if self.is_prefix:
                return next(iter(objects.iter_objects(bucket, key)), None) is not None
            objects.head(bucket, key)
        except (AwsError, ArtefactError):
            return False
        return True

    def place(self, objects: ObjectStore, directory: Path) -> None:
        """Download (and unpack) into a directory; blocking.

        Raises:
            ArtefactError: nothing is there, or it is no tar archive, or a member points outside.
        """
        directory.mkdir(parents=True, exist_ok=True)
        try:
            if self.is_prefix:
                self._place_prefix(objects, directory)
            elif self.compressed:
                self._place_archive(objects, directory)
            else:
                bucket, key = self.location
                objects.download(bucket, key, directory / posixpath.basename(key))
        except AwsError as error:
            raise ArtefactError(
                f'Failed to download model data for container "container_1" from URL: "{self.uri}". '
                "Please ensure that there is an object located at the URL and that the role passed to "
                f"CreateModel has permissions to download the object. ({error.message})"
            ) from error

    def _place_prefix(self, objects: ObjectStore, directory: Path) -> None:
        bucket, prefix = self.location
        for found in objects.iter_objects(bucket, prefix):
            if found.key.endswith("/"):
                continue
            below = found.key.removeprefix(prefix).lstrip("/")
            relative = PurePosixPath(below or posixpath.basename(found.key))
            if ".." in relative.parts:
                raise ArtefactError(f'Key "{found.key}" of model data "{self.uri}" points outside the model.')
            target = directory / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            objects.download(bucket, found.key, target)

    def _place_archive(self, objects: ObjectStore, directory: Path) -> None:
        bucket, key = self.location
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".artefact-") as spool:
            archive = Path(spool) / "model.tar.gz"
            objects.download(bucket, key, archive)
            try:
                unpack(archive, directory)
            except (tarfile.TarError, EOFError, OSError) as error:
                raise ArtefactError(
                    'Failed to extract model data archive for container "container_1" '
                    f'from URL "{self.uri}". '
                    "Please ensure that the object located at the URL is a valid tar.gz archive. "
                    f"({type(error).__name__}: {str(error).splitlines()[0]})"
                ) from error
