"""The object store as other parts of the server use it: thread-safe, synchronous, durable.

A write puts the bytes in a new blob, syncs it, and then names it in the index in one transaction: a kill at
any point leaves the old object or the new one. An answered write survives a power cut.
"""

from __future__ import annotations

import fcntl
import io
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from sagemaker_local.database import Database
from sagemaker_local.s3 import index
from sagemaker_local.s3.blobs import BlobStore, BlobWriter
from sagemaker_local.s3.checksums import FULL_OBJECT
from sagemaker_local.s3.errors import (
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    PreconditionFailed,
)
from sagemaker_local.s3.multipart import Completion, MultipartUploads
from sagemaker_local.s3.names import check_bucket_name, check_key
from sagemaker_local.s3.object_reader import ObjectReader
from sagemaker_local.s3.records import (
    ALWAYS,
    DEFAULT_CONTENT_TYPE,
    Blob,
    BucketInfo,
    ObjectAttributes,
    ObjectInfo,
    Segment,
    WriteCondition,
    utc_now,
)
from sagemaker_local.s3.transactions import need_bucket, need_object, replace_object

DEFAULT_REGION = "us-east-1"


class ObjectStore(ObjectReader):
    """Buckets and objects in one directory.

    Args:
        directory: Created when missing; held by one store at a time.

    Raises:
        RuntimeError: another store holds the directory.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._lock_file = _hold(directory)
        database = Database(directory / "index.sqlite3", index.SCHEMA, synchronous="FULL")
        super().__init__(database, BlobStore(directory))
        self.uploads = MultipartUploads(self._database, self._blobs)
        with self._database.reading() as connection:
            self._blobs.sweep(set(index.named_blobs(connection)))

    def close(self) -> None:
        """Close the index and let go of the directory."""
        self._database.close()
        self._lock_file.close()

    # Buckets

    def create_bucket(self, name: str, region: str = DEFAULT_REGION) -> None:
        """Make a bucket; again is fine in us-east-1 and an error elsewhere, as on AWS.

        Raises:
            InvalidBucketName: the name breaks AWS's rules.
            BucketAlreadyOwnedByYou: it is there, outside us-east-1.
        """
        check_bucket_name(name)
        with self._database.writing() as connection:
            existing = index.get_bucket(connection, name)
            if existing is None:
                index.insert_bucket(connection, BucketInfo(name, region, utc_now()))
            elif existing.region != DEFAULT_REGION or region != DEFAULT_REGION:
                raise BucketAlreadyOwnedByYou(name)

    def bucket(self, name: str) -> BucketInfo:
        """One bucket.

        Raises:
            NoSuchBucket: it is not there.
        """
        with self._database.reading() as connection:
            return need_bucket(connection, name)

    def bucket_exists(self, name: str) -> bool:
        """Whether a bucket is there."""
        with self._database.reading() as connection:
            return index.get_bucket(connection, name) is not None

    def buckets(self) -> list[BucketInfo]:
        """All buckets, by name."""
        with self._database.reading() as connection:
            return index.buckets(connection)

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket, and with it its unfinished uploads.

        Raises:
            NoSuchBucket, BucketNotEmpty
        """
        orphans: list[Segment] = []
        with self._database.writing() as connection:
            need_bucket(connection, name)
            for upload in index.uploads(connection, name):
                orphans += [part.segment for part in index.parts(connection, upload.upload_id)]
                index.delete_upload(connection, upload.upload_id)
            if not index.delete_bucket(connection, name):
                raise BucketNotEmpty(name)
        self._blobs.delete(orphans)

    # Writing

    def writer(self, algorithms: Iterable[str] = ()) -> BlobWriter:
        """A blob to write into, for :meth:`commit` or an upload's part; abort it if it comes to nothing."""
        return self._blobs.writer(algorithms)

    def put(
        self,
        bucket: str,
        key: str,
        source: bytes | BinaryIO | Path,
        *,
        content_type: str = DEFAULT_CONTENT_TYPE,
        metadata: Mapping[str, str] | None = None,
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> ObjectInfo:
        """Write an object from bytes, an open binary file or a file's path.

        Raises:
            NoSuchBucket, KeyTooLong
            PreconditionFailed: ``if_none_match`` and the object is there, or its etag is not ``if_match``.
        """
        self.bucket(bucket)
        check_key(key)
        writer = self.writer()
        try:
            if isinstance(source, bytes):
                writer.feed(source)
            elif isinstance(source, Path):
                with source.open("rb") as file:
                    writer.take_file(file)
            else:
                writer.copy(source)
            blob = writer.finish()
        except BaseException:
            writer.abort()
            raise
        attributes = ObjectAttributes(content_type=content_type, metadata=dict(metadata or {}))
        return self.commit(bucket, key, blob, attributes, WriteCondition(if_none_match, if_match))

    def commit(
        self,
        bucket: str,
        key: str,
        blob: Blob,
        attributes: ObjectAttributes,
        condition: WriteCondition = ALWAYS,
    ) -> ObjectInfo:
        """Make a finished blob the object of that key.

        Raises:
            NoSuchBucket, NoSuchKey, PreconditionFailed: the blob is removed then.
        """
        info = ObjectInfo(
            bucket,
            key,
            blob.segment.size,
            blob.md5,
            utc_now(),
            attributes,
            blob.checksums,
            FULL_OBJECT,
            (blob.segment,),
        )
        try:
            return self._replace(info, condition)
        except BaseException:
            self._blobs.delete(info.segments)
            raise

    def copy(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        *,
        attributes: ObjectAttributes | None = None,
        algorithm: str | None = None,
        source_etag: str | None = None,
        condition: WriteCondition = ALWAYS,
    ) -> ObjectInfo:
        """Copy an object; the bytes are shared on disk where the result has the same etag and checksums.

        The copy takes the source's attributes unless ``attributes`` are given, has a checksum of
        ``algorithm`` if that is given, and is refused if the source's etag is no longer ``source_etag``.

        Raises:
            NoSuchBucket, NoSuchKey, PreconditionFailed
        """
        self.bucket(bucket)
        check_key(key)
        info, reader = self.open_with_info(source_bucket, source_key)
        with reader:
            if source_etag is not None and info.etag != source_etag:
                raise PreconditionFailed("x-amz-copy-source-If-Match")
            wanted = {algorithm} if algorithm else set(info.checksums)
            if len(info.segments) == 1 and "-" not in info.etag and wanted == set(info.checksums):
                blob = Blob(self._blobs.link(info.segments[0]), info.etag, info.checksums)
            else:
                writer = self.writer(wanted)
                try:
                    writer.copy(reader)
                    blob = writer.finish()
                except BaseException:
                    writer.abort()
                    raise
        return self.commit(bucket, key, blob, attributes or info.attributes, condition)

    def delete(self, bucket: str, key: str, *, if_match: str | None = None) -> None:
        """Remove an object; one that is not there is no error, unless ``if_match`` names its etag.

        Raises:
            NoSuchBucket, PreconditionFailed
        """
        with self._database.writing() as connection:
            need_bucket(connection, bucket)
            old = index.get_object(connection, bucket, key)
            if if_match is not None and old is not None and if_match not in ("*", old.etag):
                raise PreconditionFailed("If-Match")
            index.delete_object(connection, bucket, key)
        self._blobs.delete(old.segments if old else ())

    def set_tags(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        """Replace an object's tags.

        Raises:
            NoSuchBucket, NoSuchKey
        """
        with self._database.writing() as connection:
            info = need_object(connection, bucket, key)
            index.set_attributes(connection, info, replace(info.attributes, tags=dict(tags)))

    def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: list[tuple[int, str, Mapping[str, str]]],
        condition: WriteCondition = ALWAYS,
        size: int | None = None,
        claimed: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Make the listed parts (number, etag, checksums) of an upload the object of its key.

        ``size`` and ``claimed`` (lower-case algorithm → base64) are what the whole must come to.

        Raises:
            NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, PreconditionFailed, InvalidRequest,
            BadDigest
        """
        completion = Completion(bucket, key, upload_id, parts, size, claimed or {})
        return self.uploads.complete(completion, condition)

    def _replace(self, info: ObjectInfo, condition: WriteCondition) -> ObjectInfo:
        with self._database.writing() as connection:
            old = replace_object(connection, info, condition)
        self._blobs.delete(old)
        return info


def _hold(directory: Path) -> io.BufferedRandom:
    """Keep other stores away from a directory: the sweep at their start would take our unfinished writes."""
    file = (directory / "lock").open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise RuntimeError(
            f"The object store {directory} is in use by another server; stop it or take another directory."
        ) from error
    return file
