"""Where the answers of batch transform go: each payload's answer on its own, then all of an object in order.

An answer is in memory as long as it is small; what grows beyond that waits in a file. An output is written
straight into the object store's next blob, so that nothing is copied once more at its end.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, Protocol

from sagemaker_local.s3.blobs import BlobWriter
from sagemaker_local.s3.names import check_key
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.s3.records import ObjectAttributes

ANSWER_IN_MEMORY_BYTES = 8 * 1024 * 1024
COPY_BYTES = 1024 * 1024


class Sink(Protocol):
    """Takes the body of an answer, part by part."""

    def clear(self) -> None:
        """Forget what came: the request is tried again."""
        ...

    def write(self, part: bytes) -> None:
        """Take the next part."""
        ...


class AnswerBody:
    """One answer until it is its turn; close it when it is not needed any longer.

    Args:
        work: Directory for what is too long for the memory.
        in_memory_bytes: So much of it is in memory at most.
    """

    def __init__(self, work: Path, in_memory_bytes: int = ANSWER_IN_MEMORY_BYTES) -> None:
        self._work = work
        self._in_memory_bytes = in_memory_bytes
        self._memory = bytearray()
        self._file: BinaryIO | None = None
        self._last = b""

    def clear(self) -> None:
        """Forget what came."""
        self._memory = bytearray()
        self._last = b""
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, part: bytes) -> None:
        """Take the next part."""
        self._last = part[-1:] or self._last
        if self._file is None and len(self._memory) + len(part) > self._in_memory_bytes:
            self._file = tempfile.TemporaryFile(dir=self._work)  # noqa: SIM115 - lives as long as the answer
            self._file.write(self._memory)
            self._memory = bytearray()
        if self._file is None:
            self._memory += part
        else:
            self._file.write(part)

    def replace(self, body: bytes | bytearray) -> None:
        """Have this instead of what came."""
        self.clear()
        self.write(bytes(body))

    def bytes(self) -> bytes:
        """All of it, for whoever has to see it whole."""
        if self._file is None:
            return bytes(self._memory)
        self._file.seek(0)
        return self._file.read()

    async def pour(self, output: Output, *, by_line: bool) -> None:
        """Append it to an output; AssembleWith Line ends it with a line end."""
        if self._file is not None:
            self._file.seek(0)
            await asyncio.to_thread(shutil.copyfileobj, self._file, output, COPY_BYTES)
            if by_line and self._last != b"\n":
                await output.append(b"\n")
            return
        if by_line and self._last != b"\n":
            self._memory += b"\n"
        await output.append(bytes(self._memory))

    close = clear


class Output:
    """The object that comes of one input object; not to be seen before :meth:`commit`.

    Args:
        objects: Where it goes.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._writer: BlobWriter = objects.writer()
        self._last = b""

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._writer.size

    @property
    def ends_a_line(self) -> bool:
        """Whether another line may follow; so it is when there is nothing yet."""
        return self._last in (b"", b"\n")

    def clear(self) -> None:
        """Begin anew."""
        self._writer.abort()
        self._writer = self._objects.writer()
        self._last = b""

    def write(self, part: bytes) -> None:
        """Take the next part; blocks now and then."""
        if part:
            self._writer.feed(part)
            self._last = part[-1:]
            if self._writer.needs_flush:
                self._writer.flush()

    async def append(self, part: bytes) -> None:
        """Take the next part off the event loop."""
        if part:
            self._writer.feed(part)
            self._last = part[-1:]
            if self._writer.needs_flush:
                await asyncio.to_thread(self._writer.flush)

    def commit(self, bucket: str, key: str, content_type: str) -> None:
        """Make it the object of that key; blocking.

        Raises:
            NoSuchBucket, KeyTooLong
        """
        self._objects.bucket(bucket)
        check_key(key)
        blob = self._writer.finish()
        self._objects.commit(bucket, key, blob, ObjectAttributes(content_type=content_type))

    def abort(self) -> None:
        """Forget it; harmless after :meth:`commit`."""
        self._writer.abort()
