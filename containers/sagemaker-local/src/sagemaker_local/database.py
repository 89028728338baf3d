"""One SQLite file in WAL mode, shared by threads: many readers beside one writer."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sagemaker_local.durability import CommitLog


class Database:
    """Connections to one SQLite file, lent to one thread at a time.

    Args:
        path: The database file; created, with its folder, when missing.
        schema: ``CREATE … IF NOT EXISTS`` statements, run at every start.
        synchronous: ``FULL`` when an answered write must survive a power cut, ``NORMAL`` when surviving the
            death of the process is enough (https://www.sqlite.org/pragma.html#pragma_synchronous).
    """

    def __init__(self, path: Path, schema: str, *, synchronous: Literal["FULL", "NORMAL"] = "NORMAL") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._synchronous = synchronous
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._write_lock = threading.Lock()
        connection = self._open()
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(schema)
        self._idle.put(connection)
        self.commits = CommitLog(path)
        """With ``NORMAL``, whoever promises durability syncs this before he does."""

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=30.0)
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        return connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reads; each statement sees a consistent state, writers do not block it."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._open()
        try:
            yield connection
        finally:
            self._idle.put(connection)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: everything inside happens, or nothing of it. Not to be nested."""
        with self._write_lock, self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
                self.commits.committed()
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connections that nobody holds; the last one folds the write-ahead log in."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return
