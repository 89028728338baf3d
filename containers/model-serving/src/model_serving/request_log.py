"""One JSON line a request on standard output, written together and not while anybody waits."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
import traceback
from typing import NamedTuple

import orjson

EVERY_S = 0.2
ID_HEADERS = (b"x-amzn-requestid", b"x-request-id", b"x-amzn-trace-id")


class Entry(NamedTuple):
    """What is written of a request."""

    time: float
    request_id: str
    method: str
    path: str
    status: int
    ms: float
    bytes_in: int
    bytes_out: int
    reason: str


class RequestLog:
    """Collects entries and writes them together.

    Args:
        which: ``off``, ``errors`` or ``all``.
    """

    def __init__(self, which: str) -> None:
        self.lowest_status = {"off": 1000, "errors": 400, "all": 0}[which]
        self._entries: list[Entry] = []
        self._numbers = itertools.count(1)

    def request_id(self, headers: list[tuple[bytes, bytes]]) -> str:
        """The caller's, else one of our own."""
        known = dict(headers)
        for name in ID_HEADERS:
            if name in known:
                return known[name].decode("latin-1")
        return f"{os.getpid()}-{next(self._numbers)}"

    def add(self, entry: Entry) -> None:
        """Take an entry; it is on the output within EVERY_S."""
        if not self._entries:
            asyncio.get_running_loop().call_later(EVERY_S, self.flush)
        self._entries.append(entry)

    def flush(self) -> None:
        """Write what was taken."""
        entries, self._entries = self._entries, []
        if entries:
            write_lines([entry._asdict() for entry in entries])


def say(text: str) -> None:
    """Write a line for people, whole: print() writes text and end apart where nothing is buffered."""
    os.write(1, f"{text}\n".encode())


def write_lines(entries: list[dict[str, object]]) -> None:
    """Write JSON lines in one call, so that those of several processes do not mix."""
    data = b"".join(orjson.dumps(entry) + b"\n" for entry in entries)
    sys.stdout.flush()
    while data:
        data = data[os.write(1, data) :]


def write_exception(request_id: str, error: BaseException) -> None:
    """Say where the user's code failed."""
    write_lines(
        [
            {
                "time": time.time(),
                "request_id": request_id,
                "error": f"{type(error).__name__}: {error}",
                "traceback": "".join(traceback.format_exception(error)),
            }
        ]
    )
