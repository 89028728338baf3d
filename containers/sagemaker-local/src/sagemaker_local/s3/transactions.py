"""What transactions on the index have in common: what must be there, and the one way to replace an object."""

from __future__ import annotations

import sqlite3

from sagemaker_local.s3 import index
from sagemaker_local.s3.errors import NoSuchBucket, NoSuchKey, NoSuchUpload, PreconditionFailed
from sagemaker_local.s3.records import BucketInfo, ObjectInfo, Segment, UploadInfo, WriteCondition


def need_bucket(connection: sqlite3.Connection, name: str) -> BucketInfo:
    """A bucket.

    Raises:
        NoSuchBucket: it is not there.
    """
    bucket = index.get_bucket(connection, name)
    if bucket is None:
        raise NoSuchBucket(name)
    return bucket


def need_object(connection: sqlite3.Connection, bucket: str, key: str) -> ObjectInfo:
    """An object.

    Raises:
        NoSuchBucket, NoSuchKey: it is not there.
    """
    info = index.get_object(connection, bucket, key)
    if info is None:
        need_bucket(connection, bucket)
        raise NoSuchKey(key)
    return info


def need_upload(connection: sqlite3.Connection, bucket: str, key: str, upload_id: str) -> UploadInfo:
    """An upload under way to that key.

    Raises:
        NoSuchBucket, NoSuchUpload: it is not there, or goes elsewhere.
    """
    upload = index.get_upload(connection, upload_id)
    if upload is None or (upload.bucket, upload.key) != (bucket, key):
        need_bucket(connection, bucket)
        raise NoSuchUpload(upload_id)
    return upload


def replace_object(
    connection: sqlite3.Connection, info: ObjectInfo, condition: WriteCondition
) -> tuple[Segment, ...]:
    """Name a new object in the index if the condition holds; returns what nobody needs after the commit.

    Raises:
        NoSuchBucket, NoSuchKey, PreconditionFailed
    """
    need_bucket(connection, info.bucket)
    old = index.get_object(connection, info.bucket, info.key)
    if condition.if_none_match and old is not None:
        raise PreconditionFailed("If-None-Match")
    if condition.if_match is not None:
        if old is None:
            raise NoSuchKey(info.key)
        if condition.if_match not in ("*", old.etag):
            raise PreconditionFailed("If-Match")
    index.put_object(connection, info)
    return old.segments if old else ()
