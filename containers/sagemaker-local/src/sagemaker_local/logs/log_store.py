"""Log events on disk: appended in one transaction each, read in order of time, kept across a kill.

Reading positions are ``(timestamp, event id)``; the tokens of :mod:`sagemaker_local.api.logs` carry them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sagemaker_local.database import Database
from sagemaker_local.durability import CommitLog
from sagemaker_local.logs.records import (
    BEGINNING,
    END,
    EventPage,
    GroupExists,
    LogEvent,
    LogGroup,
    LogStream,
    NoSuchGroup,
    NoSuchStream,
    Position,
    StreamExists,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS log_group (
    name TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, retention_days INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_stream (
    stream_id INTEGER PRIMARY KEY, log_group TEXT NOT NULL, name TEXT NOT NULL, created_ms INTEGER NOT NULL,
    first_ms INTEGER, last_ms INTEGER, ingested_ms INTEGER, UNIQUE (log_group, name));
CREATE TABLE IF NOT EXISTS log_event (
    event_id INTEGER PRIMARY KEY AUTOINCREMENT, stream_id INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL,
    ingested_ms INTEGER NOT NULL, message TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS log_event_by_time ON log_event (stream_id, timestamp_ms, event_id);
"""

EVENTS_PER_PAGE = 10_000
BYTES_PER_PAGE = 1024 * 1024
"""A page of events holds at most so much. Source: GetLogEvents in the API reference."""

SCAN_BATCH = 2000


def now_ms() -> int:
    """Milliseconds since the epoch, as CloudWatch Logs counts time."""
    return time.time_ns() // 1_000_000


class LogStore:
    """Log groups, streams and events; safe to use from several threads.

    Args:
        directory: Created when missing.
    """

    def __init__(self, directory: Path) -> None:
        self._database = Database(directory / "logs.sqlite3", SCHEMA)

    @property
    def commits(self) -> CommitLog:
        """To be synced before an answer tells of what was written."""
        return self._database.commits

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # Writing

    def create_group(self, group: str) -> None:
        """Make a group.

        Raises:
            GroupExists
        """
        with self._database.writing() as connection:
            if _group(connection, group) is not None:
                raise GroupExists(group)
            connection.execute("INSERT INTO log_group (name, created_ms) VALUES (?, ?)", (group, now_ms()))

    def set_retention(self, group: str, days: int | None) -> None:
        """Note how long events are meant to be kept; nothing is removed here.

        Raises:
            NoSuchGroup
        """
        with self._database.writing() as connection:
            _need_group(connection, group)
            connection.execute("UPDATE log_group SET retention_days = ? WHERE name = ?", (days, group))

    def delete_group(self, group: str) -> None:
        """Remove a group with everything in it.

        Raises:
            NoSuchGroup
        """
        with self._database.writing() as connection:
            _need_group(connection, group)
            connection.execute(
                "DELETE FROM log_event WHERE stream_id IN "
                "(SELECT stream_id FROM log_stream WHERE log_group = ?)",
                (group,),
            )
            connection.execute("DELETE FROM log_stream WHERE log_group = ?", (group,))
            connection.execute("DELETE FROM log_group WHERE name = ?", (group,))

    def create_stream(self, group: str, stream: str) -> None:
        """Make an empty stream.

        Raises:
            NoSuchGroup, StreamExists
        """
        with self._database.writing() as connection:
            _need_group(connection, group)
            if _stream_id(connection, group, stream) is not None:
                raise StreamExists(stream)
            _insert_stream(connection, group, stream)

    def delete_stream(self, group: str, stream: str) -> None:
        """Remove a stream with its events.

        Raises:
            NoSuchGroup, NoSuchStream
        """
        with self._database.writing() as connection:
            stream_id = _need_stream(connection, group, stream)
            connection.execute("DELETE FROM log_event WHERE stream_id = ?", (stream_id,))
            connection.execute("DELETE FROM log_stream WHERE stream_id = ?", (stream_id,))

    def append(self, group: str, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        """Add events (milliseconds, message), making group and stream when missing: all of them or none.

        Empty messages are passed over: CloudWatch Logs has none, and agents that feed it skip blank lines.
        """
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO log_group (name, created_ms) VALUES (?, ?)", (group, now_ms())
            )
            stream_id = _stream_id(connection, group, stream)
            if stream_id is None:
                stream_id = _insert_stream(connection, group, stream)
            _insert_events(connection, stream_id, lines)

    def append_existing(self, group: str, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        """Add events to a stream that must be there.

        Raises:
            NoSuchGroup, NoSuchStream
        """
        with self._database.writing() as connection:
            _insert_events(connection, _need_stream(connection, group, stream), lines)

    # Reading

    def describe_groups(self, prefix: str = "") -> list[LogGroup]:
        """Groups by name."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT name, created_ms, retention_days FROM log_group ORDER BY name")
            return [LogGroup(*row) for row in rows if row["name"].startswith(prefix)]

    def describe_streams(
        self, group: str, prefix: str = "", *, by_last_event: bool = False, descending: bool = False
    ) -> list[LogStream]:
        """Streams of a group, by name or by the time of their last event.

        Raises:
            NoSuchGroup
        """
        order = "COALESCE(last_ms, 0), name" if by_last_event else "name"
        with self._database.reading() as connection:
            _need_group(connection, group)
            rows = connection.execute(
                "SELECT name, created_ms, first_ms, last_ms, ingested_ms FROM log_stream "  # noqa: S608 - constants
                f"WHERE log_group = ? ORDER BY {order}",
                (group,),
            )
            streams = [LogStream(*row) for row in rows if row["name"].startswith(prefix)]
        return streams[::-1] if descending else streams

    def get_events(
        self,
        group: str,
        stream: str,
        *,
        after: Position | None = None,
        before: Position | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = EVENTS_PER_PAGE,
    ) -> list[LogEvent]:
        """Events of one stream in order of time, at most ``limit`` and a mebibyte of them.

        With ``before``, the last ones before that position; else the first ones after ``after``.

        Raises:
            NoSuchGroup, NoSuchStream
        """
        backward = before is not None
        comparison, order = ("<", "DESC") if backward else (">", "ASC")
        position = before or after or BEGINNING
        with self._database.reading() as connection:
            stream_id = _need_stream(connection, group, stream)
            rows = connection.execute(
                "SELECT event_id, ? AS stream, timestamp_ms, ingested_ms, message "  # noqa: S608 - constants
                "FROM log_event "
                f"WHERE stream_id = ? AND (timestamp_ms, event_id) {comparison} (?, ?) "
                "AND timestamp_ms >= ? AND timestamp_ms < ? "
                f"ORDER BY timestamp_ms {order}, event_id {order} LIMIT ?",
                (stream, stream_id, *position, start_ms or 0, END[0] if end_ms is None else end_ms, limit),
            )
            events = _within_page([LogEvent(*row) for row in rows])
        return events[::-1] if backward else events

    def filter_events(
        self,
        group: str,
        streams: Sequence[str] | None = None,
        *,
        matches: Callable[[str], bool] = lambda message: True,
        after: Position = BEGINNING,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = EVENTS_PER_PAGE,
    ) -> EventPage:
        """Events of several streams (all when None) that match, in order of time, one page of them.

        ``end_ms`` is inclusive, as FilterLogEvents has it.

        Raises:
            NoSuchGroup
        """
        found: list[LogEvent] = []
        with self._database.reading() as connection:
            _need_group(connection, group)
            names = {
                row["stream_id"]: row["name"]
                for row in connection.execute(
                    "SELECT stream_id, name FROM log_stream WHERE log_group = ?", (group,)
                )
                if streams is None or row["name"] in streams
            }
            marks = ",".join("?" * len(names))
            while True:
                rows = connection.execute(
                    "SELECT event_id, stream_id, timestamp_ms, ingested_ms, message "  # noqa: S608 - only marks
                    "FROM log_event "
                    f"WHERE stream_id IN ({marks}) AND (timestamp_ms, event_id) > (?, ?) "
                    "AND timestamp_ms >= ? AND timestamp_ms <= ? ORDER BY timestamp_ms, event_id LIMIT ?",
                    (*names, *after, start_ms or 0, END[0] if end_ms is None else end_ms, SCAN_BATCH),
                ).fetchall()
                for event_id, stream_id, timestamp_ms, ingested_ms, message in rows:
                    if matches(message):
                        found.append(LogEvent(event_id, names[stream_id], timestamp_ms, ingested_ms, message))
                page = _within_page(found[:limit])
                if len(page) < len(found):
                    return EventPage(page, page[-1].position)
                if len(rows) < SCAN_BATCH:
                    return EventPage(page, None)
                after = (rows[-1]["timestamp_ms"], rows[-1]["event_id"])


def _within_page(events: list[LogEvent]) -> list[LogEvent]:
    """The first events that fit into a page by size, but at least one."""
    size = 0
    for count, event in enumerate(events):
        size += len(event.message.encode("utf-8", "replace")) + 26
        if size > BYTES_PER_PAGE and count:
            return events[:count]
    return events


def _group(connection: sqlite3.Connection, group: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM log_group WHERE name = ?", (group,)
    ).fetchone()
    return row


def _need_group(connection: sqlite3.Connection, group: str) -> None:
    if _group(connection, group) is None:
        raise NoSuchGroup(group)


def _stream_id(connection: sqlite3.Connection, group: str, stream: str) -> int | None:
    row = connection.execute(
        "SELECT stream_id FROM log_stream WHERE log_group = ? AND name = ?", (group, stream)
    ).fetchone()
    return None if row is None else int(row[0])


def _need_stream(connection: sqlite3.Connection, group: str, stream: str) -> int:
    _need_group(connection, group)
    stream_id = _stream_id(connection, group, stream)
    if stream_id is None:
        raise NoSuchStream(stream)
    return stream_id


def _insert_stream(connection: sqlite3.Connection, group: str, stream: str) -> int:
    cursor = connection.execute(
        "INSERT INTO log_stream (log_group, name, created_ms) VALUES (?, ?, ?)", (group, stream, now_ms())
    )
    return int(cursor.lastrowid or 0)


def _insert_events(connection: sqlite3.Connection, stream_id: int, lines: Sequence[tuple[int, str]]) -> None:
    lines = [(timestamp_ms, message) for timestamp_ms, message in lines if message]
    if not lines:
        return
    ingested_ms = now_ms()
    connection.executemany(
        "INSERT INTO log_event (stream_id, timestamp_ms, ingested_ms, message) VALUES (?, ?, ?, ?)",
        [(stream_id, timestamp_ms, ingested_ms, message) for timestamp_ms, message in lines],
    )
    times = [timestamp_ms for timestamp_ms, _ in lines]
    connection.execute(
        "UPDATE log_stream SET first_ms = MIN(COALESCE(first_ms, ?1), ?1), "
        "last_ms = MAX(COALESCE(last_ms, ?2), ?2), ingested_ms = ?3 WHERE stream_id = ?4",
        (min(times), max(times), ingested_ms, stream_id),
    )
