"""What the store keeps about an object, an upload and a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

DEFAULT_CONTENT_TYPE = "binary/octet-stream"


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of an object's bytes: a whole blob. Objects from multipart uploads have one segment a part."""

    blob: str
    size: int


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that was written and synced to disk, and what was computed on the way."""

    segment: Segment
    md5: str
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """What a writer may say about an object beside its bytes.

    Attributes:
        content_type: The media type.
        headers: Other headers that a GET answers with (``cache-control``, …), lower-case.
        metadata: User metadata, keys without ``x-amz-meta-``.
        tags: Object tags.
    """

    content_type: str = DEFAULT_CONTENT_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as it lies in a bucket.

    Attributes:
        etag: Without quotes; ``md5`` or ``md5-of-md5s-N``.
        last_modified: UTC, whole seconds as AWS reports them.
        checksums: Algorithm (``CRC32``, …) → base64 as on the wire.
        checksum_type: ``FULL_OBJECT`` or ``COMPOSITE``.
        segments: Where the bytes are, in order.
    """

    bucket: str
    key: str
    size: int
    etag: str
    last_modified: datetime
    attributes: ObjectAttributes
    checksums: Mapping[str, str]
    checksum_type: str
    segments: tuple[Segment, ...]

    @property
    def content_type(self) -> str:
        """The media type."""
        return self.attributes.content_type

    @property
    def metadata(self) -> Mapping[str, str]:
        """User metadata, keys without ``x-amz-meta-``."""
        return self.attributes.metadata


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """A bucket."""

    name: str
    region: str
    created: datetime


@dataclass(frozen=True, slots=True)
class UploadInfo:
    """A multipart upload under way."""

    upload_id: str
    bucket: str
    key: str
    initiated: datetime
    attributes: ObjectAttributes
    checksum_algorithm: str | None
    checksum_type: str


@dataclass(frozen=True, slots=True)
class PartInfo:
    """One part of a multipart upload; ``etag`` without quotes."""

    number: int
    segment: Segment
    etag: str
    checksums: Mapping[str, str]
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class WriteCondition:
    """When a write may happen: ``If-None-Match: *`` and ``If-Match`` of conditional writes.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """

    if_none_match: bool = False
    if_match: str | None = None


ALWAYS = WriteCondition()


def utc_now() -> datetime:
    """Now, in whole seconds, as S3 reports times."""
    return datetime.now(UTC).replace(microsecond=0)
