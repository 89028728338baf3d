"""The index: which buckets, objects, uploads and parts there are, and which blobs hold their bytes.

Every function takes the connection of the caller's transaction, so that a condition and its write are one.
Keys are compared as SQLite compares text, byte by byte in UTF-8: S3's order.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

from sagemaker_local.s3.records import BucketInfo, ObjectAttributes, ObjectInfo, PartInfo, Segment, UploadInfo

SCHEMA = """
CREATE TABLE IF NOT EXISTS bucket (
    name TEXT PRIMARY KEY, region TEXT NOT NULL, created_s INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS object (
    bucket TEXT NOT NULL REFERENCES bucket, key TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified_s INTEGER NOT NULL, attributes TEXT NOT NULL, checksums TEXT NOT NULL,
    checksum_type TEXT NOT NULL, segments TEXT NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload (
    upload_id TEXT PRIMARY KEY, bucket TEXT NOT NULL REFERENCES bucket, key TEXT NOT NULL,
    initiated_s INTEGER NOT NULL, attributes TEXT NOT NULL, checksum_algorithm TEXT,
    checksum_type TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS part (
    upload_id TEXT NOT NULL REFERENCES upload, number INTEGER NOT NULL, blob TEXT NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, checksums TEXT NOT NULL, modified_s INTEGER NOT NULL,
    PRIMARY KEY (upload_id, number)) WITHOUT ROWID;
"""

OBJECT_COLUMNS = "bucket, key, size, etag, modified_s, attributes, checksums, checksum_type, segments"


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _attributes_text(attributes: ObjectAttributes) -> str:
    return _dump(
        [attributes.content_type, dict(attributes.headers), dict(attributes.metadata), dict(attributes.tags)]
    )


def _bucket(row: sqlite3.Row) -> BucketInfo:
    return BucketInfo(row["name"], row["region"], _time(row["created_s"]))


def _object(row: sqlite3.Row) -> ObjectInfo:
    return ObjectInfo(
        bucket=row["bucket"],
        key=row["key"],
        size=row["size"],
        etag=row["etag"],
        last_modified=_time(row["modified_s"]),
        attributes=ObjectAttributes(*json.loads(row["attributes"])),
        checksums=json.loads(row["checksums"]),
        checksum_type=row["checksum_type"],
        segments=tuple(Segment(*pair) for pair in json.loads(row["segments"])),
    )


def _upload(row: sqlite3.Row) -> UploadInfo:
    return UploadInfo(
        upload_id=row["upload_id"],
        bucket=row["bucket"],
        key=row["key"],
        initiated=_time(row["initiated_s"]),
        attributes=ObjectAttributes(*json.loads(row["attributes"])),
        checksum_algorithm=row["checksum_algorithm"],
        checksum_type=row["checksum_type"],
    )


def _part(row: sqlite3.Row) -> PartInfo:
    return PartInfo(
        number=row["number"],
        segment=Segment(row["blob"], row["size"]),
        etag=row["etag"],
        checksums=json.loads(row["checksums"]),
        last_modified=_time(row["modified_s"]),
    )


def insert_bucket(connection: sqlite3.Connection, bucket: BucketInfo) -> None:
    """Add a bucket."""
    connection.execute(
        "INSERT INTO bucket (name, region, created_s) VALUES (?, ?, ?)",
        (bucket.name, bucket.region, int(bucket.created.timestamp())),
    )


def get_bucket(connection: sqlite3.Connection, name: str) -> BucketInfo | None:
    """One bucket, if it is there."""
    row = connection.execute("SELECT * FROM bucket WHERE name = ?", (name,)).fetchone()
    return None if row is None else _bucket(row)


def buckets(connection: sqlite3.Connection) -> list[BucketInfo]:
    """All buckets, by name."""
    return [_bucket(row) for row in connection.execute("SELECT * FROM bucket ORDER BY name")]


def delete_bucket(connection: sqlite3.Connection, name: str) -> bool:
    """Remove a bucket; False, and nothing done, when objects are in it."""
    if connection.execute("SELECT 1 FROM object WHERE bucket = ? LIMIT 1", (name,)).fetchone():
        return False
    connection.execute("DELETE FROM bucket WHERE name = ?", (name,))
    return True


def get_object(connection: sqlite3.Connection, bucket: str, key: str) -> ObjectInfo | None:
    """One object, if it is there."""
    row = connection.execute(
        f"SELECT {OBJECT_COLUMNS} FROM object WHERE bucket = ? AND key = ?",  # noqa: S608 - a constant
        (bucket, key),
    ).fetchone()
    return None if row is None else _object(row)


def put_object(connection: sqlite3.Connection, info: ObjectInfo) -> None:
    """Write an object, over the one that has the key."""
    connection.execute(
        f"INSERT OR REPLACE INTO object ({OBJECT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (
            info.bucket,
            info.key,
            info.size,
            info.etag,
            int(info.last_modified.timestamp()),
            _attributes_text(info.attributes),
            _dump(dict(info.checksums)),
            info.checksum_type,
            _dump([[segment.blob, segment.size] for segment in info.segments]),
        ),
    )


def set_attributes(connection: sqlite3.Connection, info: ObjectInfo, attributes: ObjectAttributes) -> None:
    """Change what goes with an object's bytes (its tags); the time of modification stays."""
    connection.execute(
        "UPDATE object SET attributes = ? WHERE bucket = ? AND key = ?",
        (_attributes_text(attributes), info.bucket, info.key),
    )


def delete_object(connection: sqlite3.Connection, bucket: str, key: str) -> None:
    """Remove an object; nothing happens when it is not there."""
    connection.execute("DELETE FROM object WHERE bucket = ? AND key = ?", (bucket, key))


def objects_from(
    connection: sqlite3.Connection, bucket: str, start: str, *, inclusive: bool, end: str | None, limit: int
) -> list[ObjectInfo]:
    """Objects by key: from ``start`` (itself only if ``inclusive``), before ``end``, ``limit`` at most."""
    comparison = ">=" if inclusive else ">"
    upper, values = ("", ()) if end is None else ("AND key < ?", (end,))
    rows = connection.execute(
        f"SELECT {OBJECT_COLUMNS} FROM object WHERE bucket = ? AND key {comparison} ? {upper} "  # noqa: S608
        "ORDER BY key LIMIT ?",
        (bucket, start, *values, limit),
    )
    return [_object(row) for row in rows]


def insert_upload(connection: sqlite3.Connection, upload: UploadInfo) -> None:
    """Start a multipart upload."""
    connection.execute(
        "INSERT INTO upload "
        "(upload_id, bucket, key, initiated_s, attributes, checksum_algorithm, checksum_type) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            upload.upload_id,
            upload.bucket,
            upload.key,
            int(upload.initiated.timestamp()),
            _attributes_text(upload.attributes),
            upload.checksum_algorithm,
            upload.checksum_type,
        ),
    )


def get_upload(connection: sqlite3.Connection, upload_id: str) -> UploadInfo | None:
    """One upload, if it is under way."""
    row = connection.execute("SELECT * FROM upload WHERE upload_id = ?", (upload_id,)).fetchone()
    return None if row is None else _upload(row)


def uploads(connection: sqlite3.Connection, bucket: str) -> list[UploadInfo]:
    """A bucket's uploads, by key and then by age."""
    rows = connection.execute(
        "SELECT * FROM upload WHERE bucket = ? ORDER BY key, initiated_s, upload_id", (bucket,)
    )
    return [_upload(row) for row in rows]


def delete_upload(connection: sqlite3.Connection, upload_id: str) -> None:
    """End an upload and forget its parts."""
    connection.execute("DELETE FROM part WHERE upload_id = ?", (upload_id,))
    connection.execute("DELETE FROM upload WHERE upload_id = ?", (upload_id,))


def put_part(connection: sqlite3.Connection, upload_id: str, part: PartInfo) -> None:
    """Write a part, over the one that has the number."""
    connection.execute(
        "INSERT OR REPLACE INTO part (upload_id, number, blob, size, etag, checksums, modified_s) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            upload_id,
            part.number,
            part.segment.blob,
            part.segment.size,
            part.etag,
            _dump(dict(part.checksums)),
            int(part.last_modified.timestamp()),
        ),
    )


def get_part(connection: sqlite3.Connection, upload_id: str, number: int) -> PartInfo | None:
    """One part, if it was uploaded."""
    row = connection.execute(
        "SELECT * FROM part WHERE upload_id = ? AND number = ?", (upload_id, number)
    ).fetchone()
    return None if row is None else _part(row)


def parts(connection: sqlite3.Connection, upload_id: str, after: int = 0, limit: int = -1) -> list[PartInfo]:
    """An upload's parts by number, those above ``after``; -1 is no limit."""
    rows = connection.execute(
        "SELECT * FROM part WHERE upload_id = ? AND number > ? ORDER BY number LIMIT ?",
        (upload_id, after, limit),
    )
    return [_part(row) for row in rows]


def named_blobs(connection: sqlite3.Connection) -> Iterator[str]:
    """Every blob that an object or a part needs."""
    for (segments,) in connection.execute("SELECT segments FROM object"):
        for blob, _size in json.loads(segments):
            yield blob
    for (blob,) in connection.execute("SELECT blob FROM part"):
        yield blob
