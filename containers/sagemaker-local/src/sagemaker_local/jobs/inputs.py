"""From S3 to a job's input directories.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html
"""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.outcome import client_error
from sagemaker_local.jobs.run import JobRun
from sagemaker_local.s3.errors import NoSuchBucket, NoSuchKey
from sagemaker_local.s3.object_store import ObjectStore

CHUNK_BYTES = 1024 * 1024


async def download(
    run: JobRun, uri: str, directory: Path, *, data_type: str = "S3Prefix", gunzip: bool = False
) -> None:
    """Bring an input to a directory.

    Args:
        run: The job.
        uri: The prefix or the manifest.
        directory: Made when missing.
        data_type: ``S3Prefix`` or ``ManifestFile``.
        gunzip: Decompress every object; its ``.gz`` is dropped from its name.

    Raises:
        JobFailed: nothing is there, or it cannot be placed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(_download_all, run, uri, directory, data_type, gunzip)


def _download_all(run: JobRun, uri: str, directory: Path, data_type: str, gunzip: bool) -> None:
    location = Location.parse(uri)
    found = False
    try:
        for source, relative in _sources(run.objects, location, data_type):
            found = True
            if run.abandoned.is_set():
                return
            target = directory / relative
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                if gunzip:
                    _gunzip(run.objects, source, target.with_name(target.name.removesuffix(".gz")))
                else:
                    run.objects.download(source.bucket, source.key, target)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise client_error(
                    "Data download failed:Failed to download data. Please check your s3 objects and ensure "
                    f"that there is no object that is both a folder as well as a file ({source})."
                ) from error
    except NoSuchKey as error:
        raise client_error(f"Data download failed:NoSuchKey (404): {error.message} ({uri})") from error
    except NoSuchBucket as error:
        raise _nothing_there(run, uri) from error
    if not found:
        raise _nothing_there(run, uri)


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
    with objects.open(manifest.bucket, manifest.key) as stream:
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


def _gunzip(objects: ObjectStore, source: Location, target: Path) -> None:
    try:
        with (
            objects.open(source.bucket, source.key) as packed,
            gzip.open(packed) as stream,
            target.open("wb") as file,
        ):
            shutil.copyfileobj(stream, file, CHUNK_BYTES)
    except (gzip.BadGzipFile, EOFError) as error:
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
