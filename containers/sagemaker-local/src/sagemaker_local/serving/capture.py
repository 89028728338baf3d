"""Data capture: what endpoints were asked and answered, as objects of JSON lines below DestinationS3Uri.

A line is in a file before its caller has the answer, so that a kill does not lose it and many callers do not
fill the memory. Files become objects when old or large enough; an object's key is fixed when its file
is made, so that what a kill interrupts is done again and not twice.

Layout: ``<DestinationS3Uri>/<endpoint>/<variant>/yyyy/mm/dd/hh/mm-ss-fff-<uuid>.jsonl``
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sagemaker_local.s3.errors import KeyTooLong, NoSuchBucket
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.artefact import Artefact, ArtefactError
from sagemaker_local.serving.capture_record import capture_line

logger = logging.getLogger(__name__)

FLUSH_AFTER_S = 2.0
FLUSH_BYTES = 4 * 1024 * 1024
POLL_S = 0.25
CAPTURED_BYTES = 16 * 1024 * 1024
"""An invocation with more than this is not captured: only asynchronous ones are so large."""
INLINE_BYTES = 64 * 1024
"""Payloads above this are encoded off the event loop."""
CONTENT_TYPE = "application/jsonlines"
LINES, PLACE = ".jsonl", ".json"


@dataclass(slots=True)
class _Spool:
    """A file of lines that will be one object."""

    path: Path
    file: BinaryIO
    hour: str
    opened: float
    size_bytes: int = 0


class DataCapture:
    """Captures for all endpoints.

    Args:
        directory: Holds the files; what an earlier server left there is stored at the start.
        objects: Takes them.
    """

    def __init__(self, directory: Path, objects: ObjectStore) -> None:
        self._directory = directory
        self._objects = objects
        self._spools: dict[tuple[str, str, str], _Spool] = {}
        self._closed: list[Path] = []
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Store what an earlier server had captured, and begin."""
        self._closed = await asyncio.to_thread(self._left)
        self._polling = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """Store everything captured."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait({self._polling})
        self._rotate(everything=True)
        await self._store()

    async def capture(
        self,
        config: Mapping[str, Any],
        endpoint: str,
        variant: str,
        asked: Mapping[str, str],
        body: bytes,
        answered: Mapping[str, str],
        answer: bytes,
    ) -> None:
        """Capture one invocation, if it is one of those to capture; it never fails because of that."""
        if not config.get("EnableCapture", True):
            return
        if random.random() * 100 >= config["InitialSamplingPercentage"]:
            return
        if len(body) + len(answer) > CAPTURED_BYTES:
            logger.warning("an invocation of endpoint %s is too large to be captured", endpoint)
            return
        at_s = time.time()
        try:
            if len(body) + len(answer) > INLINE_BYTES:
                line = await asyncio.to_thread(capture_line, config, asked, body, answered, answer, at_s)
            else:
                line = capture_line(config, asked, body, answered, answer, at_s)
            self._write((config["DestinationS3Uri"], endpoint, variant), line, at_s)
        except (OSError, ArtefactError):
            logger.exception("an invocation of endpoint %s is not captured", endpoint)

    def _write(self, place: tuple[str, str, str], line: bytes, at_s: float) -> None:
        hour = time.strftime("%Y/%m/%d/%H", time.gmtime(at_s))
        spool = self._spools.get(place)
        if spool is not None and spool.hour != hour:
            self._end(place)
            spool = None
        if spool is None:
            spool = self._spools[place] = self._open(place, hour, at_s)
        spool.file.write(line)
        spool.size_bytes += len(line)

    def _open(self, place: tuple[str, str, str], hour: str, at_s: float) -> _Spool:
        destination, endpoint, variant = place
        bucket, prefix = Artefact(destination).location
        name = str(uuid.uuid4())
        minute = time.strftime("%M-%S", time.gmtime(at_s))
        file = f"{minute}-{int(at_s * 1000) % 1000:03d}-{name}.jsonl"
        key = "/".join(part for part in (prefix.strip("/"), endpoint, variant, hour, file) if part)
        path = self._directory / f"{name}{LINES}"
        path.with_suffix(PLACE).write_text(json.dumps({"bucket": bucket, "key": key}))
        return _Spool(path, path.open("ab", buffering=0), hour, time.monotonic())

    def _end(self, place: tuple[str, str, str]) -> None:
        spool = self._spools.pop(place)
        spool.file.close()
        self._closed.append(spool.path)

    def _rotate(self, *, everything: bool = False) -> None:
        at = time.monotonic()
        for place, spool in list(self._spools.items()):
            if everything or spool.size_bytes >= FLUSH_BYTES or at - spool.opened >= FLUSH_AFTER_S:
                self._end(place)

    async def _poll(self) -> None:
        while True:
            self._rotate()
            await self._store()
            await asyncio.sleep(POLL_S)

    async def _store(self) -> None:
        """What cannot be stored now is kept for the next time."""
        for path in list(self._closed):
            try:
                await asyncio.to_thread(self._store_one, path)
                self._closed.remove(path)
            except Exception:  # it stays where it is and is tried again
                logger.exception("captured data in %s is not stored yet", path)

    def _left(self) -> list[Path]:
        self._directory.mkdir(parents=True, exist_ok=True)
        for place in self._directory.glob(f"*{PLACE}"):
            if not place.with_suffix(LINES).exists():  # killed before its first line
                place.unlink()
        return sorted(self._directory.glob(f"*{LINES}"))

    def _store_one(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            place = json.loads(path.with_suffix(PLACE).read_text())
            _whole_lines(path)
            try:
                self._objects.put(place["bucket"], place["key"], path, content_type=CONTENT_TYPE)
            except (NoSuchBucket, KeyTooLong) as error:
                logger.warning("captured data is lost: %s: %s", place["key"], error.message)
        path.unlink(missing_ok=True)
        path.with_suffix(PLACE).unlink(missing_ok=True)


def _whole_lines(path: Path) -> None:
    """Cut off a line that a kill left unfinished."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        while size:
            start = max(0, size - 64 * 1024)
            file.seek(start)
            end = file.read(size - start).rfind(b"\n")
            if end >= 0:
                file.truncate(start + end + 1)
                return
            size = start
        file.truncate(0)
