"""Blobs: immutable runs of bytes, one file each, never named by a key.

A blob is written under ``tmp/``, renamed to ``blobs/<2 hex>/<32 hex>``, synced, and only then named by the
index. A kill in between leaves an orphan, which :meth:`BlobStore.sweep` removes at the next start. Synced
after the rename, because one fsync then makes both durable: ext4, XFS and btrfs log them in that order.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sagemaker_local.file_copies import copy_rest
from sagemaker_local.s3 import checksums
from sagemaker_local.s3.records import Blob, Segment

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES = 1024 * 1024


class BlobStore:
    """The files of an object store.

    Args:
        directory: Holds ``blobs/`` and ``tmp/``.
    """

    def __init__(self, directory: Path) -> None:
        self._blobs = directory / "blobs"
        self._tmp = directory / "tmp"
        self._tmp.mkdir(parents=True, exist_ok=True)
        for shard in range(256):
            (self._blobs / f"{shard:02x}").mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._pins: Counter[str] = Counter()
        self._doomed: set[str] = set()

    def path(self, blob: str) -> Path:
        """Where a blob's bytes are."""
        return self._blobs / blob[:2] / blob

    def writer(self, algorithms: Iterable[str] = ()) -> BlobWriter:
        """Start a new blob; MD5 is always computed, ``algorithms`` beside it."""
        name = uuid.uuid4().hex
        return BlobWriter(name, self._tmp / name, self.path(name), algorithms)

    def link(self, segment: Segment) -> Segment:
        """A second blob with the same bytes, without copying them (blobs never change)."""
        name = uuid.uuid4().hex
        os.link(self.path(segment.blob), self.path(name))
        with self.path(name).open("rb") as file:
            os.fsync(file.fileno())
        return Segment(name, segment.size)

    def open(self, segments: Sequence[Segment]) -> BlobReader:
        """Open an object's bytes for reading; they stay readable until the reader is closed.

        Raises:
            FileNotFoundError: a blob is gone, because its object was replaced; read the index again.
        """
        names = [segment.blob for segment in segments]
        with self._lock:
            self._pins.update(names)
        try:
            for name in names:
                os.stat(self.path(name))
        except FileNotFoundError:
            self._unpin(names)
            raise
        return BlobReader(self, segments)

    def delete(self, segments: Iterable[Segment]) -> None:
        """Remove blobs that the index names no more; those being read go when their reader is closed."""
        for segment in segments:
            with self._lock:
                if self._pins[segment.blob] > 0:
                    self._doomed.add(segment.blob)
                    continue
                del self._pins[segment.blob]
            self.path(segment.blob).unlink(missing_ok=True)

    def _unpin(self, names: Iterable[str]) -> None:
        free = []
        with self._lock:
            for name in names:
                self._pins[name] -= 1
                if self._pins[name] <= 0:
                    del self._pins[name]
                    if name in self._doomed:
                        self._doomed.discard(name)
                        free.append(name)
        for name in free:
            self.path(name).unlink(missing_ok=True)

    def sweep(self, named: set[str]) -> int:
        """Remove what a killed process left: unfinished files and blobs the index does not name."""
        removed = 0
        for file in self._tmp.iterdir():
            file.unlink()
            removed += 1
        for shard in self._blobs.iterdir():
            with os.scandir(shard) as entries:
                for entry in entries:
                    if entry.name not in named:
                        os.unlink(entry.path)
                        removed += 1
        return removed


class BlobWriter:
    """Collects bytes in memory up to :data:`BUFFER_BYTES`, writes them to a file; ends by finish or abort.

    ``feed`` only appends, so an event loop may call it; ``flush``, ``finish`` and ``abort`` touch the disk.
    """

    def __init__(self, name: str, temporary: Path, final: Path, algorithms: Iterable[str]) -> None:
        self._name, self._temporary, self._final = name, temporary, final
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._file: io.FileIO | None = None
        self._lock = threading.Lock()  # a cancelled request aborts while its thread may still be writing
        self._aborted = False
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hashers = {algorithm: checksums.ALGORITHMS[algorithm]() for algorithm in algorithms}
        self.size = 0

    @property
    def needs_flush(self) -> bool:
        """Whether enough bytes wait to be worth a write."""
        return self._pending_size >= BUFFER_BYTES

    def feed(self, data: bytes) -> None:
        """Take bytes; nothing is written yet."""
        self._pending.append(data)
        self._pending_size += len(data)
        self.size += len(data)

    def flush(self) -> None:
        """Hash and write what waits."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._aborted:
            raise ValueError("this blob was aborted")
        data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        self._pending, self._pending_size = [], 0
        self._hash(data)
        if self._file is None:
            self._file = io.FileIO(self._temporary, "x+b")
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def copy(self, source: BinaryIO | io.RawIOBase) -> None:
        """Take everything from an open binary file."""
        while data := source.read(BUFFER_BYTES):
            self.feed(data)
            self.flush()

    def take_file(self, source: BinaryIO) -> None:
        """Take all of a file that was just opened, copied by the kernel; hashed is what was copied."""
        with self._lock:
            self._flush()
            assert self._file is not None
            start = self._file.tell()
            self.size += copy_rest(source.fileno(), self._file.fileno())
            at = start
            while data := os.pread(self._file.fileno(), BUFFER_BYTES, at):
                self._hash(data)
                at += len(data)

    def _hash(self, data: bytes) -> None:
        self._md5.update(data)
        for hasher in self._hashers.values():
            hasher.update(data)

    def checksums(self) -> dict[str, str]:
        """The checksums of everything flushed so far."""
        return {algorithm: checksums.encode(hasher.digest()) for algorithm, hasher in self._hashers.items()}

    def md5(self) -> str:
        """The MD5 of everything flushed so far, in hex."""
        return self._md5.hexdigest()

    def finish(self) -> Blob:
        """Write, rename and sync: after this the blob is durable, and an orphan until the index names it."""
        with self._lock:
            self._flush()
            assert self._file is not None
            os.rename(self._temporary, self._final)
            os.fsync(self._file.fileno())
            self._file.close()
        return Blob(Segment(self._name, self.size), self.md5(), self.checksums())

    def abort(self) -> None:
        """Forget the bytes; harmless after finish."""
        with self._lock:
            self._aborted = True
            if self._file is not None:
                self._file.close()
                self._temporary.unlink(missing_ok=True)


class BlobReader(io.RawIOBase):
    """The bytes of some segments, or a range of them, as one binary file."""

    def __init__(self, store: BlobStore, segments: Sequence[Segment]) -> None:
        self._store, self._segments = store, segments
        self._size = sum(segment.size for segment in segments)
        self._start = self._position = 0
        self._end = self._size
        self._index = 0
        self._segment_start = 0
        self._file: io.FileIO | None = None

    def restrict(self, start: int, length: int | None) -> None:
        """Read only ``length`` bytes from ``start``."""
        self._start = self._position = min(start, self._size)
        self._end = self._size if length is None else min(self._size, start + length)

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position, counted from the start of the range."""
        return self._position - self._start

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move within the range."""
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._position, io.SEEK_END: self._end}[whence]
        if base + offset < self._start:
            raise ValueError(f"cannot seek to {base + offset - self._start}: before the start")
        self._position = base + offset
        self._index, self._segment_start = 0, 0
        if self._file is not None:
            self._file.close()
            self._file = None
        return self.tell()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer; 0 at the end."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._end - self._position)
        if wanted <= 0:
            return 0
        file = self._file_at_position()
        left_in_segment = self._segment_start + self._segments[self._index].size - self._position
        count = file.readinto(view[: min(wanted, left_in_segment)])
        if not count:
            raise OSError(
                f"blob {self._segments[self._index].blob} is shorter than the index says: disk damaged?"
            )
        self._position += count
        return count

    def _file_at_position(self) -> io.FileIO:
        while self._position >= self._segment_start + self._segments[self._index].size:
            self._segment_start += self._segments[self._index].size
            self._index += 1
            if self._file is not None:
                self._file.close()
                self._file = None
        if self._file is None:
            self._file = io.FileIO(self._store.path(self._segments[self._index].blob), "rb")
            self._file.seek(self._position - self._segment_start)
        return self._file

    def close(self) -> None:
        """Let go of the blobs; those whose object is gone are removed."""
        if self.closed:
            return
        if self._file is not None:
            self._file.close()
        self._store._unpin([segment.blob for segment in self._segments])
        super().close()
