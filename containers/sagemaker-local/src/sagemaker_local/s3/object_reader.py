"""What the object store gives: descriptions, bytes, files, listings."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sagemaker_local.database import Database
from sagemaker_local.file_copies import copy_rest
from sagemaker_local.s3.blobs import BlobReader, BlobStore
from sagemaker_local.s3.listing import Page, list_page
from sagemaker_local.s3.records import ObjectInfo
from sagemaker_local.s3.transactions import need_bucket, need_object

ITERATION_PAGE = 1000


class ObjectReader:
    """Reads objects, while others write them.

    Args:
        database: The index.
        blobs: The bytes.
    """

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """What is known of an object.

        Raises:
            NoSuchBucket, NoSuchKey
        """
        with self._database.reading() as connection:
            return need_object(connection, bucket, key)

    def open(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open an object, or ``length`` bytes from ``start``, for reading; a later write does not disturb it.

        Raises:
            NoSuchBucket, NoSuchKey
        """
        _info, reader = self.open_with_info(bucket, key)
        reader.restrict(start, length)
        return io.BufferedReader(reader, 128 * 1024)

    def open_with_info(self, bucket: str, key: str) -> tuple[ObjectInfo, BlobReader]:
        """An object's description and its bytes, of the same version.

        Raises:
            NoSuchBucket, NoSuchKey
        """
        while True:
            info = self.head(bucket, key)
            try:
                return info, self._blobs.open(info.segments)
            except FileNotFoundError:
                if self.head(bucket, key).segments == info.segments:
                    raise  # not replaced in between: the blob is really gone

    def download(self, bucket: str, key: str, path: Path) -> ObjectInfo:
        """Write an object to a file, which appears only when it is whole.

        Raises:
            NoSuchBucket, NoSuchKey
        """
        info, reader = self.open_with_info(bucket, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name[:200]}.{os.getpid()}.partial")
        with reader, partial.open("wb") as file:
            for segment in info.segments:
                with self._blobs.path(segment.blob).open("rb") as blob:
                    copied = copy_rest(blob.fileno(), file.fileno())
                if copied != segment.size:
                    raise OSError(
                        f"blob {segment.blob} has {copied} bytes and not {segment.size}: disk damaged?"
                    )
        partial.rename(path)
        return info

    def link(self, bucket: str, key: str, path: Path) -> ObjectInfo:
        """Show an object's own bytes as a file, without copying them where that is possible.

        The file is a second name of the stored blob: it stays as it is when the object is replaced or
        deleted, and nobody may ever write to it. Objects of several parts are copied.

        Raises:
            NoSuchBucket, NoSuchKey
        """
        info, reader = self.open_with_info(bucket, key)
        with reader:
            if len(info.segments) == 1:
                try:
                    os.link(self._blobs.path(info.segments[0].blob), path)
                except FileExistsError:
                    raise
                except OSError:
                    pass  # another file system, or one that has no links
                else:
                    return info
        return self.download(bucket, key, path)

    def list_page(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        max_keys: int = ITERATION_PAGE,
    ) -> Page:
        """One page of a listing; see :mod:`sagemaker_local.s3.listing`.

        Raises:
            NoSuchBucket
        """
        with self._database.reading() as connection:
            need_bucket(connection, bucket)
            return list_page(
                connection, bucket, prefix=prefix, delimiter=delimiter, after=after, max_keys=max_keys
            )

    def iter_objects(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects under a prefix, in key order.

        Raises:
            NoSuchBucket
        """
        after = ""
        while True:
            page = self.list_page(bucket, prefix=prefix, after=after)
            yield from page.objects
            if not page.truncated:
                return
            after = page.last
