"""The ``aws-chunked`` content encoding: signed or unsigned chunks, then trailing headers.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from sagemaker_local.auth.chunks import EMPTY_HASH, ChunkSignatures
from sagemaker_local.auth.errors import MISMATCH
from sagemaker_local.s3.errors import IncompleteBody, InvalidRequest, S3Error

MAXIMUM_LINE_BYTES = 16 * 1024
MAXIMUM_TRAILERS = 20
TRAILER_SIGNATURE = "x-amz-trailer-signature"
SIGNATURE_PARAMETER = "chunk-signature"


def _mismatch() -> S3Error:
    return S3Error(MISMATCH, code="SignatureDoesNotMatch", status_code=403)


class ChunkedDecoder:
    """Takes the body as it arrives, gives the payload, which is not to be believed before ``finish``.

    Args:
        signatures: What the chunks must be signed with; None reads past their signatures.
    """

    def __init__(self, signatures: ChunkSignatures | None = None) -> None:
        self._signatures = signatures
        self._chunk_signature = ""
        self._chunk_hash = hashlib.sha256()
        self._signed_trailer = b""
        self._buffer = bytearray()
        self._left_in_chunk = 0
        self._step: Callable[[list[bytes]], bool] = self._size_line
        self.trailers: dict[str, str] = {}
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the body, return the payload in them."""
        self._buffer += data
        payload: list[bytes] = []
        while self._buffer and not self.finished and self._step(payload):
            pass
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def finish(self) -> None:
        """The body has ended.

        Raises:
            IncompleteBody: the last chunk has not arrived.
            S3Error: SignatureDoesNotMatch, the trailers are not those that were signed.
        """
        if self._step == self._trailer_line and not self._buffer:
            self.finished = True  # some clients leave out the blank line after the last chunk
        if not self.finished:
            raise IncompleteBody(
                "The request body terminated unexpectedly: the final aws-chunked chunk is missing."
            )
        if self._signatures is not None and (self._signatures.trailer or self.trailers):
            signature = self.trailers.pop(TRAILER_SIGNATURE, "")
            if not self._signatures.trailer_is_signed(self._signed_trailer, signature):
                raise _mismatch()

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > MAXIMUM_LINE_BYTES:
                raise InvalidRequest("An aws-chunked chunk header is too long.")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _size_line(self, _payload: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        try:
            size, _, extension = line.partition(b";")
            self._left_in_chunk = int(size, 16)
        except ValueError as error:
            raise InvalidRequest(
                f"The aws-chunked body has no chunk size where one is due: {line[:40]!r}."
            ) from error
        if self._left_in_chunk < 0:
            raise InvalidRequest("An aws-chunked chunk has a negative size.")
        name, _, value = extension.decode("latin-1").partition("=")
        self._chunk_signature = value.strip() if name.strip() == SIGNATURE_PARAMETER else ""
        if self._left_in_chunk == 0:
            self._check_chunk(EMPTY_HASH)
        self._step = self._data if self._left_in_chunk else self._trailer_line
        return True

    def _data(self, payload: list[bytes]) -> bool:
        taken = bytes(self._buffer[: self._left_in_chunk])
        del self._buffer[: len(taken)]
        self._left_in_chunk -= len(taken)
        if self._signatures is not None:
            self._chunk_hash.update(taken)
        payload.append(taken)
        if not self._left_in_chunk:
            self._step = self._data_end
        return True

    def _data_end(self, _payload: list[bytes]) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise InvalidRequest("An aws-chunked chunk is longer than its size says.")
        del self._buffer[:2]
        self._check_chunk(self._chunk_hash.hexdigest())
        self._chunk_hash = hashlib.sha256()
        self._step = self._size_line
        return True

    def _trailer_line(self, _payload: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        if not line:
            self.finished = True
            return True
        name, _, value = line.decode("latin-1").partition(":")
        name, value = name.strip().lower(), value.strip()
        if len(self.trailers) == MAXIMUM_TRAILERS:
            raise InvalidRequest(f"An aws-chunked body has more than {MAXIMUM_TRAILERS} trailers.")
        self.trailers[name] = value
        if name != TRAILER_SIGNATURE:
            self._signed_trailer += f"{name}:{value}\n".encode("latin-1")
        return True

    def _check_chunk(self, sha256: str) -> None:
        if self._signatures is not None and not self._signatures.chunk_is_signed(
            sha256, self._chunk_signature
        ):
            raise _mismatch()
