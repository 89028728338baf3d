"""AWS's event stream encoding: messages of headers and a payload, each with its checksums.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

CONTENT_TYPE = "application/vnd.amazon.eventstream"
STRING = 7
"""The type of a header whose value is a string."""
PRELUDE_BYTES = 12
CHECKSUM_BYTES = 4


def event(kind: str, payload: bytes) -> bytes:
    """One event whose payload is raw bytes."""
    headers = {":event-type": kind, ":content-type": "application/octet-stream", ":message-type": "event"}
    return message(headers, payload)


def exception(kind: str, payload: bytes) -> bytes:
    """A modelled error in the stream; the payload is its JSON."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return message(headers, payload)


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One encoded message."""
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    total_bytes = PRELUDE_BYTES + len(encoded) + len(payload) + CHECKSUM_BYTES
    lengths = struct.pack("!II", total_bytes, len(encoded))
    whole = lengths + struct.pack("!I", zlib.crc32(lengths)) + encoded + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack("!B", len(key)) + key + struct.pack("!BH", STRING, len(text)) + text
