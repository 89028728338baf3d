"""Signatures of a body's chunks: each chunk signs the one before, the first signs the request.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hashlib
import hmac

SIGNED_PAYLOADS = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_HASH = hashlib.sha256(b"").hexdigest()

EXTENSION = "sagemaker_local.chunk_signatures"
"""Key in the scope's extensions, for the service that reads the body."""


class ChunkSignatures:
    """The chain of one body.

    Args:
        key: The signing key of the request.
        timestamp: Of the request.
        scope: Credential scope of the request.
        seed: The request's own signature.
        trailer: Whether trailers come behind the body, and are signed.
    """

    def __init__(self, key: bytes, timestamp: str, scope: str, seed: str, *, trailer: bool) -> None:
        self._key, self._timestamp, self._scope = key, timestamp, scope
        self._previous = seed
        self.trailer = trailer

    def chunk_is_signed(self, sha256: str, signature: str) -> bool:
        """Whether the next chunk, of that hash, has the right signature."""
        return self._next(f"AWS4-HMAC-SHA256-PAYLOAD\n{{}}\n{EMPTY_HASH}\n{sha256}", signature)

    def trailer_is_signed(self, trailer: bytes, signature: str) -> bool:
        """Whether the trailing headers, each ending in a line feed, have the right signature."""
        return self._next(f"AWS4-HMAC-SHA256-TRAILER\n{{}}\n{hashlib.sha256(trailer).hexdigest()}", signature)

    def _next(self, template: str, signature: str) -> bool:
        text = template.format(f"{self._timestamp}\n{self._scope}\n{self._previous}")
        expected = hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
        self._previous = expected
        return hmac.compare_digest(expected.encode(), signature.encode("latin-1", "replace"))
