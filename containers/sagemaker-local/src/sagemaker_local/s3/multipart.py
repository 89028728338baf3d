"""Multipart uploads: parts are blobs, and completing one strings their blobs together without copying them.

Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sagemaker_local.database import Database
from sagemaker_local.s3 import checksums, index
from sagemaker_local.s3.blobs import BlobStore
from sagemaker_local.s3.errors import (
    BadDigest,
    EntityTooSmall,
    InvalidArgument,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
)
from sagemaker_local.s3.names import check_key
from sagemaker_local.s3.numbers import whole_number
from sagemaker_local.s3.records import (
    Blob,
    ObjectAttributes,
    ObjectInfo,
    PartInfo,
    UploadInfo,
    WriteCondition,
    utc_now,
)
from sagemaker_local.s3.transactions import need_bucket, need_upload, replace_object

PART_MINIMUM_BYTES = 5 * 1024 * 1024
PART_NUMBER_MAXIMUM = 10_000


@dataclass(frozen=True, slots=True)
class Completion:
    """What CompleteMultipartUpload asks for.

    Attributes:
        parts: Number, etag and checksums of each part.
        size: What the object must have, if said.
        checksums: Lower-case algorithm → base64 that the object must have, as far as said.
    """

    bucket: str
    key: str
    upload_id: str
    parts: Sequence[tuple[int, str, Mapping[str, str]]]
    size: int | None
    checksums: Mapping[str, str]

    @property
    def etag(self) -> str | None:
        """The etag that the object will have; None when a part's is none."""
        try:
            return multipart_etag([etag for _, etag, _ in self.parts])
        except ValueError:
            return None

    def check(self, info: ObjectInfo) -> None:
        """Compare what came out with what was asked for.

        Raises:
            InvalidRequest, BadDigest
        """
        if self.size is not None and self.size != info.size:
            raise InvalidRequest(
                f"The provided 'x-amz-mp-object-size' header value {self.size} does not match "
                f"what was computed: {info.size}."
            )
        if self.checksums.get("type", info.checksum_type) != info.checksum_type:
            raise InvalidRequest(
                f"The upload was created using the {info.checksum_type} checksum mode. "
                f"The complete request must use the same checksum mode."
            )
        for algorithm, value in info.checksums.items():
            # A client may or may not write the number of parts behind a composite checksum.
            if self.checksums.get(algorithm.lower(), value).partition("-")[0] != value.partition("-")[0]:
                raise BadDigest(f"The {algorithm} you specified did not match the calculated checksum.")


class MultipartUploads:
    """The uploads under way in an object store."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database, self._blobs = database, blobs

    def create(
        self,
        bucket: str,
        key: str,
        attributes: ObjectAttributes,
        checksum_algorithm: str | None = None,
        checksum_type: str | None = None,
    ) -> UploadInfo:
        """Start an upload.

        Raises:
            NoSuchBucket, KeyTooLong
            InvalidRequest: the algorithm cannot make that type of checksum.
        """
        check_key(key)
        upload = UploadInfo(
            uuid.uuid4().hex + uuid.uuid4().hex,
            bucket,
            key,
            utc_now(),
            attributes,
            checksum_algorithm,
            _checksum_type(checksum_algorithm, checksum_type),
        )
        with self._database.writing() as connection:
            need_bucket(connection, bucket)
            index.insert_upload(connection, upload)
        return upload

    def get(self, bucket: str, key: str, upload_id: str) -> UploadInfo:
        """An upload under way.

        Raises:
            NoSuchBucket, NoSuchUpload
        """
        with self._database.reading() as connection:
            return need_upload(connection, bucket, key, upload_id)

    def under_way(self, bucket: str) -> list[UploadInfo]:
        """A bucket's uploads, by key and then by age.

        Raises:
            NoSuchBucket
        """
        with self._database.reading() as connection:
            need_bucket(connection, bucket)
            return index.uploads(connection, bucket)

    def put_part(self, bucket: str, key: str, upload_id: str, number: int, blob: Blob) -> PartInfo:
        """Make a finished blob a part, over the one that has the number.

        Raises:
            NoSuchUpload: the blob is removed then.
        """
        part = PartInfo(number, blob.segment, blob.md5, blob.checksums, utc_now())
        try:
            with self._database.writing() as connection:
                need_upload(connection, bucket, key, upload_id)
                old = index.get_part(connection, upload_id, number)
                index.put_part(connection, upload_id, part)
        except BaseException:
            self._blobs.delete([blob.segment])
            raise
        self._blobs.delete([old.segment] if old else [])
        return part

    def parts(self, bucket: str, key: str, upload_id: str, after: int = 0, limit: int = -1) -> list[PartInfo]:
        """Parts by number, those above ``after``; -1 is no limit.

        Raises:
            NoSuchBucket, NoSuchUpload
        """
        with self._database.reading() as connection:
            need_upload(connection, bucket, key, upload_id)
            return index.parts(connection, upload_id, after, limit)

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """End an upload and remove its parts.

        Raises:
            NoSuchBucket, NoSuchUpload
        """
        with self._database.writing() as connection:
            need_upload(connection, bucket, key, upload_id)
            parts = index.parts(connection, upload_id)
            index.delete_upload(connection, upload_id)
        self._blobs.delete(part.segment for part in parts)

    def complete(self, completion: Completion, condition: WriteCondition) -> ObjectInfo:
        """Make the listed parts the object; parts that are not listed go.

        Again, for a client that did not hear the answer, it finds the object there and says the same.
        """
        bucket, key, upload_id = completion.bucket, completion.key, completion.upload_id
        with self._database.writing() as connection:
            if index.get_upload(connection, upload_id) is None:
                there = index.get_object(connection, bucket, key)
                if there is not None and there.etag == completion.etag:
                    return there
            upload = need_upload(connection, bucket, key, upload_id)
            uploaded = {part.number: part for part in index.parts(connection, upload_id)}
            chosen = _choose(upload_id, uploaded, completion.parts)
            info = ObjectInfo(
                bucket=bucket,
                key=key,
                size=sum(part.segment.size for part in chosen),
                etag=multipart_etag([part.etag for part in chosen]),
                last_modified=utc_now(),
                attributes=upload.attributes,
                checksums=_object_checksums(upload, chosen),
                checksum_type=upload.checksum_type,
                segments=tuple(part.segment for part in chosen),
            )
            completion.check(info)
            old = replace_object(connection, info, condition)
            index.delete_upload(connection, upload_id)
        self._blobs.delete(old)
        self._blobs.delete({part.segment for part in uploaded.values()} - set(info.segments))
        return info


def multipart_etag(part_etags: Sequence[str]) -> str:
    """The MD5 of the parts' MD5s, and their number."""
    joined = b"".join(bytes.fromhex(etag) for etag in part_etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(part_etags)}"


def check_part_number(text: str) -> int:
    """Parse a part number.

    Raises:
        InvalidArgument: not a number from 1 to 10,000.
    """
    number = whole_number(text)
    if number is None or not 1 <= number <= PART_NUMBER_MAXIMUM:
        raise InvalidArgument(
            f"Part number must be an integer between 1 and {PART_NUMBER_MAXIMUM}, inclusive",
            "partNumber",
            text,
        )
    return number


def _checksum_type(algorithm: str | None, asked: str | None) -> str:
    """Which type an upload's checksum has; CRC64NVME knows only FULL_OBJECT and SHA only COMPOSITE."""
    if algorithm is None:
        if asked is not None:
            raise InvalidRequest(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )
        return checksums.FULL_OBJECT
    default = checksums.FULL_OBJECT if algorithm == "CRC64NVME" else checksums.COMPOSITE
    chosen = asked or default
    possible = {default} | ({checksums.FULL_OBJECT} if algorithm in checksums.POLYNOMIALS else set())
    if chosen not in possible:
        raise InvalidRequest(
            f"The {chosen} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        )
    return chosen


def _choose(
    upload_id: str, uploaded: Mapping[int, PartInfo], listed: Sequence[tuple[int, str, Mapping[str, str]]]
) -> list[PartInfo]:
    numbers = [number for number, _, _ in listed]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise InvalidPartOrder
    chosen = []
    for number, etag, claimed in listed:
        part = uploaded.get(number)
        if part is None or part.etag != etag:
            raise InvalidPart(upload_id, number, etag)
        if any(part.checksums.get(algorithm) != value for algorithm, value in claimed.items()):
            raise InvalidPart(upload_id, number, etag)
        chosen.append(part)
    for part in chosen[:-1]:
        if part.segment.size < PART_MINIMUM_BYTES:
            raise EntityTooSmall(part.number, part.segment.size, PART_MINIMUM_BYTES, part.etag)
    return chosen


def _object_checksums(upload: UploadInfo, parts: Sequence[PartInfo]) -> dict[str, str]:
    algorithm = upload.checksum_algorithm
    if algorithm is None:
        return {}
    if upload.checksum_type == checksums.FULL_OBJECT:
        pairs = [(part.checksums[algorithm], part.segment.size) for part in parts]
        return {algorithm: checksums.full_object(algorithm, pairs)}
    return {algorithm: checksums.composite(algorithm, [part.checksums[algorithm] for part in parts])}
