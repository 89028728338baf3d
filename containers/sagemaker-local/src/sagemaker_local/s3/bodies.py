"""Request bodies: from the wire into a blob or into memory, verified against every checksum that came along.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import TypeVar

from sagemaker_local.s3 import checksums
from sagemaker_local.s3.blobs import BlobWriter
from sagemaker_local.s3.chunked import ChunkedDecoder
from sagemaker_local.s3.errors import (
    BadDigest,
    ContentSha256Mismatch,
    EntityTooLarge,
    IncompleteBody,
    InvalidArgument,
    InvalidDigest,
    InvalidRequest,
    MalformedXML,
    NotImplementedHere,
    S3Error,
)
from sagemaker_local.s3.numbers import whole_number
from sagemaker_local.s3.records import Blob
from sagemaker_local.s3.request import S3Request
from sagemaker_local.s3.threads import in_thread

T = TypeVar("T")

PUT_MAXIMUM_BYTES = 5 * 1024**3
XML_MAXIMUM_BYTES = 4 * 1024**2
SHA256_HEX = re.compile(r"[0-9a-f]{64}")


class ExpectedIntegrity:
    """What a request's headers, and later its trailers, claim of its body.

    Raises:
        InvalidDigest, InvalidRequest, NotImplementedHere: a claim is malformed.
    """

    def __init__(self, request: S3Request) -> None:
        headers = request.headers
        self.md5 = _md5_hex(headers["content-md5"]) if "content-md5" in headers else None
        sha256 = headers.get("x-amz-content-sha256", "")
        self.sha256 = sha256 if SHA256_HEX.fullmatch(sha256) else None
        self.chunked = sha256.startswith("STREAMING-") or "aws-chunked" in headers.get("content-encoding", "")
        self.values = _checksum_values(headers)
        self.trailing = [
            _algorithm(name.strip().lower())
            for name in headers.get("x-amz-trailer", "").split(",")
            if name.strip()
        ]
        if len(self.values) + len(self.trailing) > 1:
            raise InvalidRequest(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            )
        self.size = _size(
            headers.get("x-amz-decoded-content-length") if self.chunked else headers.get("content-length")
        )

    @property
    def algorithms(self) -> set[str]:
        """The checksums to compute."""
        return {*self.values, *self.trailing}

    def check(self, *, size: int, md5: str, sha256: str | None, computed: dict[str, str]) -> None:
        """Compare with what arrived.

        Raises:
            IncompleteBody, BadDigest, ContentSha256Mismatch
        """
        if self.size is not None and self.size != size:
            raise IncompleteBody(
                f"You did not provide the number of bytes specified by the Content-Length HTTP header: "
                f"{self.size} announced, {size} received."
            )
        if self.sha256 is not None and sha256 is not None and self.sha256 != sha256:
            raise ContentSha256Mismatch(self.sha256, sha256)
        if self.md5 is not None and self.md5 != md5:
            raise BadDigest("The Content-MD5 you specified did not match what we received.")
        for algorithm, value in self.values.items():
            if computed[algorithm] != value:
                raise BadDigest(f"The {algorithm} you specified did not match the calculated checksum.")

    def take_trailers(self, trailers: dict[str, str]) -> None:
        """Add the checksums that came behind the body.

        Raises:
            InvalidRequest: an announced one is missing or malformed.
        """
        for algorithm in self.trailing:
            name = checksums.header_name(algorithm)
            if name not in trailers:
                raise InvalidRequest(f"The trailer {name} was announced in x-amz-trailer and did not come.")
            self.values |= _checksum_values({name: trailers[name]})


class IncomingBlob:
    """A request's body on its way into a blob.

    Args:
        request: Whose body; its headers are checked at once, before any of the body is read.
        algorithm: A checksum to compute even if the request does not carry it.
    """

    def __init__(self, request: S3Request, algorithm: str | None = None) -> None:
        self._request = request
        self._expected = ExpectedIntegrity(request)
        if self._expected.size is None and "transfer-encoding" not in request.headers:
            raise S3Error(
                "You must provide the Content-Length HTTP header.",
                code="MissingContentLength",
                status_code=411,
            )
        if (self._expected.size or 0) > PUT_MAXIMUM_BYTES:
            raise EntityTooLarge(self._expected.size or 0, PUT_MAXIMUM_BYTES)
        algorithms = self._expected.algorithms | ({algorithm} if algorithm else set())
        needed_for_signature = {"SHA256"} if self._expected.sha256 else set()
        self._kept = algorithms
        self._writer: BlobWriter = request.store.writer(algorithms | needed_for_signature)

    async def receive(self, commit: Callable[[Blob], T]) -> T:
        """Read the body to its end, verify it, sync it, and call ``commit``, in a thread, with the blob."""
        writer = self._writer
        decoder = ChunkedDecoder(self._request.chunk_signatures) if self._expected.chunked else None
        try:
            while chunk := await self._request.next_chunk():
                writer.feed(decoder.feed(chunk) if decoder else chunk)
                if writer.size > PUT_MAXIMUM_BYTES:
                    raise EntityTooLarge(writer.size, PUT_MAXIMUM_BYTES)
                if writer.needs_flush:
                    await in_thread(writer.flush)
            if decoder:
                decoder.finish()
                self._expected.take_trailers(decoder.trailers)
            return await in_thread(self._finish, commit)
        except BaseException:
            writer.abort()
            raise

    def _finish(self, commit: Callable[[Blob], T]) -> T:
        writer = self._writer
        writer.flush()
        computed = writer.checksums()
        sha256 = base64.b64decode(computed["SHA256"]).hex() if "SHA256" in computed else None
        self._expected.check(size=writer.size, md5=writer.md5(), sha256=sha256, computed=computed)
        blob = writer.finish()
        kept = {algorithm: value for algorithm, value in blob.checksums.items() if algorithm in self._kept}
        return commit(Blob(blob.segment, blob.md5, kept))


async def read_xml_body(request: S3Request) -> bytes:
    """A small body, verified.

    Raises:
        MalformedXML: more than any request of S3 needs.
    """
    expected = ExpectedIntegrity(request)
    decoder = ChunkedDecoder(request.chunk_signatures) if expected.chunked else None
    body = bytearray()
    while chunk := await request.next_chunk():
        body += decoder.feed(chunk) if decoder else chunk
        if len(body) > XML_MAXIMUM_BYTES:
            raise MalformedXML(f"more than {XML_MAXIMUM_BYTES} bytes")
    if decoder:
        decoder.finish()
        expected.take_trailers(decoder.trailers)
    data = bytes(body)
    expected.check(
        size=len(data),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(data).hexdigest(),
        computed={algorithm: checksums.checksum(algorithm, [data]) for algorithm in expected.algorithms},
    )
    return data


def _checksum_values(headers: dict[str, str]) -> dict[str, str]:
    values = {}
    for name, value in headers.items():
        suffix = name.removeprefix(checksums.HEADER_PREFIX)
        if suffix == name or suffix in ("type", "mode", "algorithm"):
            continue
        algorithm = _algorithm(name)
        if not checksums.is_well_formed(algorithm, value):
            raise InvalidRequest(f"Value for {name} header is invalid.")
        values[algorithm] = value
    return values


def _algorithm(header: str) -> str:
    if header not in checksums.ALGORITHM_BY_HEADER:
        raise NotImplementedHere(f"the checksum {header}")
    return checksums.ALGORITHM_BY_HEADER[header]


def algorithm_named(name: str | None) -> str | None:
    """The value of an ``x-amz-checksum-algorithm`` header, checked.

    Raises:
        InvalidRequest: no such algorithm.
    """
    if name is None:
        return None
    if name.upper() not in checksums.ALGORITHMS:
        raise InvalidRequest(
            f"Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(checksums.ALGORITHMS)}]"
        )
    return name.upper()


def _md5_hex(value: str) -> str:
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidDigest(value) from error
    if len(digest) != 16:
        raise InvalidDigest(value)
    return digest.hex()


def _size(header: str | None) -> int | None:
    if header is None:
        return None
    size = whole_number(header)
    if size is None:
        raise InvalidArgument("The length of the body must be a number.", "Content-Length", header)
    return size
