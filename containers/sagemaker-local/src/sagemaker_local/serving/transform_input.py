"""The objects that a transform job reads, and what its outputs are called."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sagemaker_local.errors import AwsError
from sagemaker_local.s3.object_store import ObjectStore

MANIFEST_BYTES_MOST = 64 * 1024 * 1024


class InputError(Exception):
    """The input cannot be read; the message becomes the job's FailureReason."""


@dataclass(frozen=True, slots=True)
class InputObject:
    """One object and its name below the input.

    Attributes:
        bucket: Its bucket.
        key: Its key.
        relative: What the output's key is made of: ``<S3OutputPath>/<relative>.out``.
        size: Its bytes in S3; 0 of one that a manifest names and that is not there.
    """

    bucket: str
    key: str
    relative: str
    size: int = 0

    @property
    def uri(self) -> str:
        """For messages."""
        return f"s3://{self.bucket}/{self.key}"


def input_objects(objects: ObjectStore, data_source: Mapping[str, Any]) -> list[InputObject]:
    """All objects of an ``S3DataSource``, in order; blocking.

    Raises:
        InputError: there are none, or the manifest is not one.
    """
    uri = data_source["S3Uri"]
    try:
        if data_source["S3DataType"] == "ManifestFile":
            found = list(_of_manifest(objects, uri))
        else:
            found = list(_of_prefix(objects, uri))
    except AwsError as error:
        raise InputError(f"ClientError: Cannot read input data at {uri}: {error.message}") from error
    if not found:
        raise InputError(
            f"ClientError: No S3 objects found under S3 URL {uri} given in input data source. "
            "Please ensure that the bucket exists in the region and that objects exist under the prefix."
        )
    outputs = [each.relative for each in found]
    if len(set(outputs)) != len(outputs):
        twice = next(name for name in outputs if outputs.count(name) > 1)
        raise InputError(f"ClientError: Two input objects of {uri} would be written to '{twice}.out'.")
    return found


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an ``s3://`` URI.

    Raises:
        InputError: it is none.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise InputError(f"ClientError: '{uri}' is not an S3 URI; it must look like s3://bucket/key.")
    return bucket, key


def relative_key(key: str, prefix: str) -> str:
    """The part of a key below its prefix, which may end within a name or be the whole key."""
    if key == prefix:
        return key.rpartition("/")[2]
    if key.startswith(prefix + "/"):
        return key.removeprefix(prefix + "/")
    return key.removeprefix(prefix[: prefix.rfind("/") + 1])


def _of_prefix(objects: ObjectStore, uri: str) -> Iterator[InputObject]:
    bucket, prefix = split_uri(uri)
    for found in objects.iter_objects(bucket, prefix):
        if not found.key.endswith("/"):  # what consoles make to show a folder
            yield InputObject(bucket, found.key, relative_key(found.key, prefix), found.size)


def _of_manifest(objects: ObjectStore, uri: str) -> Iterator[InputObject]:
    with objects.open(*split_uri(uri), length=MANIFEST_BYTES_MOST) as stream:
        text = stream.read()
    try:
        manifest = json.loads(text)
        prefix, names = manifest[0]["prefix"], manifest[1:]
        if not isinstance(prefix, str) or not all(isinstance(name, str) for name in names):
            raise TypeError("every entry after the first must be a string")
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"ClientError: The manifest {uri} must look like "
            f'[{{"prefix": "s3://bucket/some/prefix/"}}, "relative/key", …]: {error}'
        ) from error
    for name in names:
        bucket, key = split_uri(prefix + name)
        if ".." in PurePosixPath(name).parts:
            raise InputError(f"ClientError: The manifest {uri} names '{name}', which has '..' in it.")
        yield InputObject(bucket, key, name.lstrip("/"), _size(objects, bucket, key))


def _size(objects: ObjectStore, bucket: str, key: str) -> int:
    try:
        return objects.head(bucket, key).size
    except AwsError:  # the object fails when it is its turn
        return 0
