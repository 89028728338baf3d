"""An HTTP request as S3 sees it: which bucket, which key, which headers; and its answer."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.types import Receive, Scope

from sagemaker_local.auth.chunks import EXTENSION, ChunkSignatures
from sagemaker_local.s3.blobs import BlobReader
from sagemaker_local.s3.errors import S3Error
from sagemaker_local.s3.object_store import ObjectStore

# Virtual-host style: the bucket stands before one of these. The bare name alone is path style.
HOST_SUFFIX = re.compile(r"(?:(?P<bucket>.+)\.)?(?:s3[.-](?:[a-z0-9-]+\.)?amazonaws\.com|(?:s3\.)?localhost)")


@dataclass(slots=True)
class Response:
    """An answer: either ``body``, or ``reader`` for what is too big for memory."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reader: BlobReader | BinaryIO | None = None

    @classmethod
    def xml(cls, body: bytes, status: int = 200) -> Response:
        """An XML document."""
        return cls(status, {"content-type": "application/xml"}, body)


class ClientGone(Exception):
    """The client hung up before its body had arrived: there is nobody to answer."""


class S3Request:
    """A parsed request.

    Attributes:
        bucket: Empty for a request to the service itself.
        key: Empty for a request to the bucket itself.
        query: The last value of each query parameter.
        headers: Lower-case names; bytes that are no UTF-8 are read as Latin-1.
        chunk_signatures: What the chunks of the body must be signed with; None when nobody asks.
        body_started: Whether any of the body was read, and with it any ``Expect: 100-continue`` answered.
    """

    def __init__(self, scope: Scope, receive: Receive, store: ObjectStore, region: str) -> None:
        self.store = store
        self.region = region
        self.method: str = scope["method"]
        self.headers = {name.decode("latin-1").lower(): _text(value) for name, value in scope["headers"]}
        self.query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        self.request_id = secrets.token_hex(8).upper()
        self.body_started = False
        self.body_finished = "content-length" not in self.headers and "transfer-encoding" not in self.headers
        self.chunk_signatures: ChunkSignatures | None = scope.get("extensions", {}).get(EXTENSION)
        self._receive = receive
        self.raw_path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
        self.bucket, self.key = self._address()

    def _address(self) -> tuple[str, str]:
        path = self.raw_path.removeprefix(b"/")
        host = self.headers.get("host", "").rsplit(":", 1)[0].lower()
        match = HOST_SUFFIX.fullmatch(host)
        if match and match["bucket"]:
            return match["bucket"], decode_uri(path)
        bucket, _, key = path.partition(b"/")
        return decode_uri(bucket), decode_uri(key)

    def amz(self, prefix: str) -> Mapping[str, str]:
        """The headers that start with ``x-amz-<prefix>``, without that."""
        start = f"x-amz-{prefix}"
        return {name[len(start) :]: value for name, value in self.headers.items() if name.startswith(start)}

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a word before it sends the body."""
        return self.headers.get("expect", "").lower() == "100-continue"

    async def next_chunk(self) -> bytes:
        """More of the body; empty at its end.

        Raises:
            ClientGone: the connection broke.
        """
        while not self.body_finished:
            self.body_started = True
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self.body_finished = not message.get("more_body", False)
            if body := message.get("body", b""):
                return bytes(body)
        return b""


def decode_uri(raw: bytes) -> str:
    """Percent-decode a part of a path.

    Raises:
        S3Error: InvalidURI, it is no UTF-8.
    """
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise S3Error(
            "Couldn't parse the specified URI.", code="InvalidURI", details={"URI": repr(raw)}
        ) from error


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
