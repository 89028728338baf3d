"""From S3 to a job's input directories.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html
"""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import random
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sagemaker_local.expansion import ExpandsTooMuch, Expansion
from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.outcome import client_error
from sagemaker_local.jobs.run import JobRun
from sagemaker_local.s3.errors import NoSuchBucket, NoSuchKey
from sagemaker_local.s3.object_store import ObjectStore

CHUNK_BYTES = 1024 * 1024
MANIFEST_BYTES_MOST = 64 * 1024 * 1024
"""What is read of a manifest."""


@dataclass(frozen=True, slots=True)
class S3Input:
    """What a channel or processing input asks for.

    Attributes:
        uri: The prefix or the manifest.
        data_type: ``S3Prefix`` or ``ManifestFile``.
        sharded: ShardedByS3Key: every host gets its share of the objects instead of all.
        shuffle_seed: The objects are put in an order that the seed decides before they are shared out.
        gunzip: Decompress every object; its ``.gz`` is dropped from its name.
        linked: FastFile: no bytes are copied; the files are the object store's own and must only be read.
    """

    uri: str
    data_type: str = "S3Prefix"
    sharded: bool = False
    shuffle_seed: int | None = None
    gunzip: bool = False
    linked: bool = False


async def place(run: JobRun, source: S3Input, directories: Sequence[Path]) -> None:
    """Bring an input to directories, one for each host that it goes to.

    Args:
        run: The job.
        source: The input.
        directories: Made when missing.

    Raises:
        JobFailed: nothing is there, or it cannot be placed.
    """
    await asyncio.to_thread(_place_all, run, source, directories)


async def download(run: JobRun, uri: str, directory: Path) -> None:
    """Bring everything under a prefix to a directory.

    Raises:
        JobFailed: nothing is there, or it cannot be placed.
    """
    await place(run, S3Input(uri), [directory])


def _place_all(run: JobRun, source: S3Input, directories: Sequence[Path]) -> None:
    for directory in directories:
        directory.mkdir(parents=True, exist_ok=True)
    location = Location.parse(source.uri)
    try:
        found = list(_sources(run.objects, location, source.data_type))
        if not found:
            raise _nothing_there(run, source.uri)
        if source.shuffle_seed is not None:
            random.Random(source.shuffle_seed).shuffle(found)
        for number, directory in enumerate(directories):
            share = found[number :: len(directories)] if source.sharded else found
            expansion = Expansion()
            for origin, relative in share:
                if run.abandoned.is_set():
                    return
                _place(run.objects, source, origin, directory / relative, expansion)
    except NoSuchKey as error:
        raise client_error(f"Data download failed:NoSuchKey (404): {error.message} ({source.uri})") from error
    except NoSuchBucket as error:
        raise _nothing_there(run, source.uri) from error


def _place(
    objects: ObjectStore, source: S3Input, origin: Location, target: Path, expansion: Expansion
) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.gunzip:
            _gunzip(objects, origin, target.with_name(target.name.removesuffix(".gz")), expansion)
        elif source.linked:
            objects.link(origin.bucket, origin.key, target)
        else:
            objects.download(origin.bucket, origin.key, target)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise client_error(
            "Data download failed:Failed to download data. Please check your s3 objects and ensure "
            f"that there is no object that is both a folder as well as a file ({origin})."
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
            raise
        raise client_error(f"Data download failed:the key of {origin} is no file name ({error})") from error


def _sources(objects: ObjectStore, location: Location, data_type: str) -> Iterator[tuple[Location, str]]:
    """The objects of an input and the path of each below its directory."""
    if data_type == "ManifestFile":
        yield from _manifest_sources(objects, location)
        return
    for found in objects.iter_objects(location.bucket, location.key):
        if not found.key.endswith("/"):  # an empty object that stands for a folder
            yield Location(location.bucket, found.key), location.relative_path(found.key)


def _manifest_sources(objects: ObjectStore, manifest: Location) -> Iterator[tuple[Location, str]]:
    """``[{"prefix": "s3://bucket/common/"}, "relative/path-1", …]``."""
    with objects.open(manifest.bucket, manifest.key, length=MANIFEST_BYTES_MOST) as stream:
        text = stream.read()
    try:
        head, *paths = json.loads(text)
        prefix = Location.parse(head["prefix"])
    except (ValueError, TypeError, KeyError) as error:
        raise client_error(
            f"The manifest {manifest} is invalid: it must be a JSON list that begins with "
            f'{{"prefix": "s3://…"}} and goes on with paths ({error!r})'
        ) from error
    for path in paths:
        if not isinstance(path, str):
            raise client_error(f"The manifest {manifest} is invalid: {path!r} is not a path")
        # Checked as if the prefix were a folder, so that no path leads out of the input's directory.
        relative = Location("manifest", "").relative_path(path)
        yield Location(prefix.bucket, prefix.key + path), relative


def _gunzip(objects: ObjectStore, source: Location, target: Path, expansion: Expansion) -> None:
    packed_bytes = objects.head(source.bucket, source.key).size
    try:
        with (
            expansion.gunzip(objects.open(source.bucket, source.key), packed_bytes) as stream,
            target.open("wb") as file,
        ):
            shutil.copyfileobj(stream, file, CHUNK_BYTES)
    except ExpandsTooMuch as error:
        target.unlink(missing_ok=True)
        raise client_error(f"Data download failed:{source} cannot be decompressed: {error}") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise client_error(f"Data download failed:{source} is not gzip-compressed ({error})") from error


def _nothing_there(run: JobRun, uri: str) -> Exception:
    bucket = Location.parse(uri).bucket
    return client_error(
        f'Data download failed:No S3 objects found under S3 URL "{uri}" given in input data source. Please '
        f"ensure that the bucket exists in the selected region ({run.settings.region}), that objects exist "
        f'under that S3 prefix, and that the role "{run.document.get("RoleArn")}" has "s3:ListBucket" '
        f'permissions on bucket "{bucket}".'
    )


async def fetch_object(run: JobRun, source: Location, path: Path) -> None:
    """Bring one object, named by its whole key, to a file.

    Raises:
        JobFailed: it is not there.
    """
    try:
        await asyncio.to_thread(run.objects.download, source.bucket, source.key, path)
    except (NoSuchBucket, NoSuchKey) as error:
        raise client_error(f"{source} cannot be downloaded: {error.code}: {error.message}") from error
