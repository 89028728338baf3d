"""From a job's output directories to S3."""

from __future__ import annotations

import asyncio
import gzip
import os
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sagemaker_local.errors import AwsError
from sagemaker_local.jobs.left_behind import leads_away, require_own
from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.outcome import client_error
from sagemaker_local.jobs.run import JobRun

COMPRESSION_LEVEL = 6
SIDE_BY_SIDE = os.cpu_count() or 1
"""Uploads at a time: most of one is the MD5 of its ETag, which keeps a processor busy."""
UPLOADS_QUEUED = 256

Answer = TypeVar("Answer")


async def to_its_end(work: Callable[[threading.Event], Answer]) -> Answer:
    """Do something in a thread; who is interrupted comes back only when the thread is through.

    A thread cannot be interrupted, and what it uploads must not come after the job's end.

    Args:
        work: Takes an event: once that is set nobody wants what is not begun.
    """
    given_up = threading.Event()
    thread = asyncio.create_task(asyncio.to_thread(work, given_up))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        given_up.set()
        await asyncio.wait({thread})
        raise


async def upload_tree(run: JobRun, directories: Sequence[Path], destination: Location) -> int:
    """Upload every file below the hosts' directories, several at a time; returns how many there were.

    Raises:
        JobFailed: the bucket is not there.
    """
    return await to_its_end(lambda given_up: _upload_tree(run, directories, destination, given_up))


async def upload_archive(run: JobRun, directories: Sequence[Path], destination: Location) -> None:
    """Upload the content of the hosts' directories as one ``tar.gz``.

    On AWS the hosts must not write files of the same name; here the first host's counts, and the log tells.

    Raises:
        JobFailed: the bucket is not there.
    """
    said: list[str] = []
    await asyncio.to_thread(_upload_archive, run, directories, destination, said.append)
    for line in said:
        run.leader.log.write(line)  # a log is the event loop's


async def upload_file(run: JobRun, path: Path, destination: Location) -> None:
    """Upload one file.

    Raises:
        JobFailed: the bucket is not there.
    """
    require_own(path)
    await asyncio.to_thread(_put, run, path, destination)


def files(directory: Path) -> Iterator[Path]:
    """All regular files below a directory, sorted; links are followed as long as they stay inside."""
    if leads_away(directory):
        return
    inside = directory.resolve()
    for folder, names, filenames in os.walk(directory):
        names.sort()
        for name in sorted(filenames):
            path = Path(folder, name)
            if path.is_file() and path.resolve().is_relative_to(inside):
                yield path


def pack(directories: Sequence[Path], archive: Path, log: Callable[[str], None] = lambda line: None) -> None:
    """Write directories as one ``tar.gz``; the same content always gives the same bytes."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(
            filename="", mode="wb", fileobj=raw, compresslevel=COMPRESSION_LEVEL, mtime=0
        ) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        taken: set[str] = set()
        for directory in directories:
            for path in _entries(directory):
                name = str(path.relative_to(directory))
                if name not in taken:
                    taken.add(name)
                    tar.add(path, arcname=name, recursive=False, filter=_anonymous)
                elif path.is_symlink() or not path.is_dir():
                    log(f"sagemaker-local: {name} is left out: several hosts have a file of that name")


def _entries(directory: Path) -> Iterator[Path]:
    for folder, names, filenames in os.walk(directory):
        names.sort()
        for name in sorted([*names, *filenames]):
            yield Path(folder, name)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Without what differs between runs and machines; sockets and the like are left out."""
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = 0
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def _upload_tree(
    run: JobRun, directories: Sequence[Path], destination: Location, given_up: threading.Event
) -> int:
    def put(path: Path, key: Location) -> None:
        if not given_up.is_set():
            _put(run, path, key)

    count = 0
    with ThreadPoolExecutor(SIDE_BY_SIDE, "upload") as threads:
        for directory in directories:
            require_own(directory)
            found = files(directory)
            while not given_up.is_set() and (some := list(islice(found, UPLOADS_QUEUED))):
                keys = [destination.join(*path.relative_to(directory).parts) for path in some]
                count += len(list(threads.map(put, some, keys)))
    return count


def _upload_archive(
    run: JobRun, directories: Sequence[Path], destination: Location, log: Callable[[str], None]
) -> None:
    for directory in directories:
        require_own(directory)
    archive = run.directory / Path(destination.key).name
    pack(directories, archive, log)
    _put(run, archive, destination)
    archive.unlink()


def _put(run: JobRun, path: Path, destination: Location) -> None:
    try:
        run.objects.put(destination.bucket, destination.key, path)
    except AwsError as error:
        raise client_error(f"Failed to upload {destination}: {error.code}: {error.message}") from error
