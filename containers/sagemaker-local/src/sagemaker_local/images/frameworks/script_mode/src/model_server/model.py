"""What a model is to the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

JSON = "application/json"
CSV = "text/csv"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    body: bytes
    content_type: str = JSON
    status: int = 200


class Model(Protocol):
    """A loaded model."""

    def answer(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Answer one invocation; header names are in lower case. Called by one thread at a time."""
        ...


@runtime_checkable
class Rest(Protocol):
    """A model with further paths of its own: TensorFlow Serving's interface."""

    def rest(self, path: str, body: bytes) -> Answer:
        """Answer a POST to another path."""
        ...


def as_bytes(body: object) -> bytes:
    """What a script's output function gave, as it goes out."""
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    return str(body).encode()


def media_type(header: str | None, default: str) -> str:
    """``text/csv`` of ``text/csv; charset=utf-8``."""
    return (header or default).partition(";")[0].strip().lower() or default
