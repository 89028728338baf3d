"""How much what somebody else compressed may grow: a few bytes must not fill the disk or the memory."""

from __future__ import annotations

import gzip
import io
from typing import Any, BinaryIO

TIMES_MOST = 200
"""Times the compressed size; deflate reaches 1,032 for zeros, models and data seldom 10."""
ALLOWED_BYTES = 1024**3
"""However little it is."""


class ExpandsTooMuch(OSError):
    """More comes out than anything sensible holds."""


class Expansion:
    """What belongs together, such as the files of one input, and how far it has grown."""

    def __init__(self) -> None:
        self._packed_bytes = 0
        self._unpacked_bytes = 0

    def gunzip(self, packed: BinaryIO, packed_bytes: int) -> BinaryIO:
        """Decompress a stream of so many bytes, as it is read.

        Reading raises:
            ExpandsTooMuch: it, with all before it, has grown too far.
            gzip.BadGzipFile, zlib.error, EOFError: it is no gzip, or not all of it.
        """
        self._packed_bytes += packed_bytes
        return io.BufferedReader(_Gunzipped(packed, self))

    def grow(self, count: int) -> None:
        """Note that so many bytes came out.

        Raises:
            ExpandsTooMuch: that is too many.
        """
        self._unpacked_bytes += count
        if self._unpacked_bytes > max(ALLOWED_BYTES, TIMES_MOST * self._packed_bytes):
            raise ExpandsTooMuch(
                f"decompressing gives more than {TIMES_MOST} times its {self._packed_bytes} bytes; "
                "store such data in another form, or without compression"
            )


class _Gunzipped(io.RawIOBase):
    def __init__(self, packed: BinaryIO, expansion: Expansion) -> None:
        self._packed = packed
        self._stream = gzip.GzipFile(fileobj=packed)
        self._expansion = expansion

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._stream.readinto(buffer)
        self._expansion.grow(count)
        return count

    def close(self) -> None:
        self._stream.close()
        self._packed.close()
        super().close()
