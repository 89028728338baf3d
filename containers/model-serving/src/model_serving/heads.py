"""Heads of requests that were parsed and answered, to know them again without parsing."""

from __future__ import annotations

HEAD_END = b"\r\n\r\n"
KEPT = 256
LONGEST = 2048
"""Of a head in bytes; with KEPT it limits the memory."""

Headers = list[tuple[bytes, bytes]]


class Heads:
    """The heads that one process has seen, byte by byte, each with what the parser made of it."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Headers, int]] = {}

    def headers(self, head: bytes, length: int) -> Headers | None:
        """The headers of a known head whose body has this length."""
        known = self._known.get(head)
        return known[0] if known is not None and known[1] == length else None

    def keep(self, data: bytes, end: int, headers: Headers, length: int) -> None:
        """Know a head again, if it was followed by one whole body and nothing else.

        Args:
            data: As it arrived; the parser found a request that could be answered at once, its last one.
            end: Of the head.
            headers: Of that request.
            length: Of its body.
        """
        # Nothing else fits this length: chunks are longer than what they carry, and two requests in a row are
        # longer than the head of the first and the body of the second.
        if len(HEAD_END) <= end <= LONGEST and len(data) - end == length:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[data[:end]] = headers, length
