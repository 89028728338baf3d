"""When a write counts as done: what was answered is on the disk, and survives a power cut.

SQLite's write-ahead log is not synced at every commit (``synchronous=NORMAL``), which would hold up the whole
server for each step of each job. Instead no answer leaves before the log is synced that holds all it may tell
of: many commits share one sync, in a thread of its own. Source: https://www.sqlite.org/wal.html#performance
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SYNC_THREAD = ThreadPoolExecutor(1, thread_name_prefix="sync")
"""One, because syncs of one disk only wait for each other; and no work of jobs can keep it busy."""


class CommitLog:
    """Counts the commits of one database, and knows which of them the disk has.

    Args:
        path: The database file; its write-ahead log lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self._wal = path.with_name(f"{path.name}-wal")
        self._lock = threading.Lock()
        self._made = 0
        self._synced = 0
        self.sync_directory(path.parent)

    @staticmethod
    def sync_directory(directory: Path) -> None:
        """Make the names in a directory durable."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def committed(self) -> None:
        """Note a commit; called by the one who holds the database's write lock."""
        self._made += 1

    @property
    def is_synced(self) -> bool:
        """Whether a power cut now would take nothing."""
        return self._made == self._synced

    def sync(self) -> None:
        """Have every commit made so far on the disk."""
        with self._lock:
            made = self._made
            if made == self._synced:
                return
            try:
                descriptor = os.open(self._wal, os.O_RDONLY)
            except FileNotFoundError:  # folded into the database, which SQLite syncs
                self._synced = made
                return
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            self._synced = made


async def settled(*logs: CommitLog) -> None:
    """Return once everything committed so far is on the disk."""
    for log in logs:
        if not log.is_synced:
            await asyncio.get_running_loop().run_in_executor(SYNC_THREAD, log.sync)


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed for want of space."""
    import errno

    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or "disk is full" in str(error)
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
