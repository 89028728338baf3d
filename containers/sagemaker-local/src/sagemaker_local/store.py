"""The durable record of every SageMaker resource: one SQLite database in WAL mode.

A record is the resource as its Describe operation answers it (``document``), plus what only the server needs
(``private``). Writes are transactions; a kill at any point leaves the record as it was before or after.
"""

from __future__ import annotations

import copy
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

from sagemaker_local.durability import CommitLog

SCHEMA = """
CREATE TABLE IF NOT EXISTS resource (
    kind TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL, private TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS tag (
    arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, key));
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class AlreadyExists(Exception):
    """A record of that kind and name is there; each operation words its own AWS error."""


class NotFound(Exception):
    """No record of that kind and name; each operation words its own AWS error."""


@dataclass(slots=True)
class Record:
    """A resource: a copy, so that changing it changes nothing until it is written back."""

    kind: str
    name: str
    arn: str
    document: dict[str, Any]
    private: dict[str, Any] = field(default_factory=dict)


class Watcher(Protocol):
    """Whoever is told of committed changes of records; must not block."""

    def state(self, record: Record) -> Any:
        """What of a record is watched; None where nothing is."""

    def created(self, record: Record) -> None:
        """A record was written first."""

    def changed(self, record: Record, earlier: Any) -> None:
        """A record's state became another; ``earlier`` is what it was."""


class Store:
    """Resources and tags; safe to use from several threads.

    Args:
        path: The database file; created with its tables when missing.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")  # answers wait for `commits`
        self._connection.executescript(SCHEMA)
        self.commits = CommitLog(path)
        """To be synced before an answer tells of what was written."""
        self._listed: dict[str, dict[str, Record]] = {}
        self._in_order: dict[str, Listed] = {}
        self._stale: dict[str, set[str]] = {}
        self.watcher: Watcher | None = None
        self._untold: list[Callable[[Watcher], None]] = []

    def close(self) -> None:
        """Close the database; the write-ahead log is folded in."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside happens, or nothing of it."""
        with self._lock:
            if self._connection.in_transaction:  # nested: the outer one decides
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")  # which may fail as well, on a full disk
                self.commits.committed()
            except BaseException:
                self._listed.clear()  # may hold what is now taken back
                self._untold.clear()
                self._roll_back()
                raise
            self._tell()

    def _tell(self) -> None:
        untold, self._untold = self._untold, []
        if self.watcher is not None:
            for tell in untold:
                tell(self.watcher)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # SQLite may have done it
            self._connection.execute("ROLLBACK")

    def insert(self, record: Record, tags: Mapping[str, str] | None = None) -> None:
        """Write a new record and its tags.

        Raises:
            AlreadyExists: the kind has a record of that name.
        """
        with self.transaction() as connection:
            try:
                connection.execute(
                    "INSERT INTO resource (kind, name, arn, document, private) VALUES (?, ?, ?, ?, ?)",
                    (
                        record.kind,
                        record.name,
                        record.arn,
                        json.dumps(record.document),
                        json.dumps(record.private),
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise AlreadyExists(record.name) from error
            self._changed(record.kind, record.name)
            self.add_tags(record.arn, tags or {})
            if self.watcher is not None and self.watcher.state(record) is not None:
                snapshot = copy.deepcopy(record)
                self._untold.append(lambda watcher: watcher.created(snapshot))

    def get(self, kind: str, name: str) -> Record:
        """Read one record.

        Raises:
            NotFound: the kind has no record of that name.
        """
        return self._one("kind = ? AND name = ?", (kind, name), name)

    def get_by_arn(self, arn: str) -> Record:
        """Read one record by its ARN.

        Raises:
            NotFound: no resource has that ARN.
        """
        return self._one("arn = ?", (arn,), arn)

    def update(self, kind: str, name: str, change: Callable[[Record], None]) -> Record:
        """Read, change and write one record in one transaction; returns what was written.

        Raises:
            NotFound: the kind has no record of that name.
        """
        with self.transaction() as connection:
            record = self.get(kind, name)
            earlier = self.watcher.state(record) if self.watcher is not None else None
            change(record)
            connection.execute(
                "UPDATE resource SET document = ?, private = ? WHERE kind = ? AND name = ?",
                (json.dumps(record.document), json.dumps(record.private), kind, name),
            )
            self._changed(kind, name)
            if earlier is not None and self.watcher is not None and self.watcher.state(record) != earlier:
                snapshot = copy.deepcopy(record)
                self._untold.append(lambda watcher: watcher.changed(snapshot, earlier))
            return record

    def delete(self, kind: str, name: str) -> Record:
        """Remove one record and its tags; returns what it was.

        Raises:
            NotFound: the kind has no record of that name.
        """
        with self.transaction() as connection:
            record = self.get(kind, name)
            connection.execute("DELETE FROM resource WHERE kind = ? AND name = ?", (kind, name))
            connection.execute("DELETE FROM tag WHERE arn = ?", (record.arn,))
            self._changed(kind, name)
            return record

    def list(self, kind: str) -> list[Record]:
        """All records of a kind, by name, to be read only: they are kept, so that a thousand cost little."""
        with self._lock:
            listed = self._listed.get(kind)
            if listed is not None and not self._stale.get(kind) and kind in self._in_order:
                return self._in_order[kind].copy()
            if listed is None:
                rows = self._connection.execute(
                    "SELECT kind, name, arn, document, private FROM resource WHERE kind = ?", (kind,)
                ).fetchall()
                listed = self._listed[kind] = {row[1]: _shared(row) for row in rows}
            else:
                for name in self._stale.get(kind, ()):
                    row = self._connection.execute(
                        "SELECT kind, name, arn, document, private FROM resource WHERE kind = ? AND name = ?",
                        (kind, name),
                    ).fetchone()
                    if row is None:
                        listed.pop(name, None)
                    else:
                        listed[name] = _shared(row)
            self._stale.pop(kind, None)
            in_order = self._in_order[kind] = Listed([listed[name] for name in sorted(listed)], {})
            return in_order.copy()

    def _changed(self, kind: str, name: str) -> None:
        if kind in self._listed:
            self._stale.setdefault(kind, set()).add(name)

    def next_number(self, counter: str) -> int:
        """1, 2, 3, … for each name of a counter, durable and never given twice."""
        with self.transaction() as connection:
            row = connection.execute(
                "INSERT INTO counter (name, value) VALUES (?, 1) "
                "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
                (counter,),
            ).fetchone()
            return int(row[0])

    def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add or overwrite tags of a resource."""
        with self.transaction() as connection:
            connection.executemany(
                "INSERT INTO tag (arn, key, value) VALUES (?, ?, ?) "
                "ON CONFLICT (arn, key) DO UPDATE SET value = excluded.value",
                [(arn, key, value) for key, value in tags.items()],
            )

    def delete_tags(self, arn: str, keys: Sequence[str]) -> None:
        """Remove tags of a resource; missing keys are no error."""
        with self.transaction() as connection:
            connection.executemany("DELETE FROM tag WHERE arn = ? AND key = ?", [(arn, key) for key in keys])

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of a resource, by key."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT key, value FROM tag WHERE arn = ? ORDER BY key", (arn,)
            ).fetchall()
        return dict(rows)

    def _one(self, where: str, values: tuple[str, ...], name: str) -> Record:
        with self._lock:
            row = self._connection.execute(
                f"SELECT kind, name, arn, document, private FROM resource WHERE {where}",  # noqa: S608 - constants above
                values,
            ).fetchone()
        if row is None:
            raise NotFound(name)
        return _record(row)


class Listed(list[Record]):
    """All records of a kind at one time.

    Args:
        records: They, by name.
        memo: For whoever works something out from all of them; gone once one of them changes.
    """

    def __init__(self, records: Iterable[Record], memo: dict[Any, list[Record]]) -> None:
        super().__init__(records)
        self.memo = memo

    def copy(self) -> Listed:
        """A list of the caller's own, of the same time."""
        return Listed(self, self.memo)


class Shared(dict[str, Any]):
    """A document that several readers have: whoever wants to change it asks :meth:`Store.update`."""

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("a listed record is shared: change it by Store.update")

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = _refuse


def _shared(row: tuple[str, str, str, str, str]) -> Record:
    return Record(row[0], row[1], row[2], Shared(json.loads(row[3])), Shared(json.loads(row[4])))


def _record(row: tuple[str, str, str, str, str]) -> Record:
    return Record(row[0], row[1], row[2], json.loads(row[3]), json.loads(row[4]))
