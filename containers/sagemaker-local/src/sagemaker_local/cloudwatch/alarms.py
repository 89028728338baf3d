"""Alarms on disk: definition, state and history of each; every change is one transaction.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagemaker_local.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS alarm (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, document TEXT NOT NULL, private TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
    item_id INTEGER PRIMARY KEY AUTOINCREMENT, alarm TEXT NOT NULL, kind TEXT NOT NULL, at_s REAL NOT NULL,
    type TEXT NOT NULL, summary TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_by_alarm ON history (alarm, item_id);
CREATE TABLE IF NOT EXISTS alarm_tag (
    alarm TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (alarm, key)) WITHOUT ROWID;
"""

METRIC, COMPOSITE = "MetricAlarm", "CompositeAlarm"
HISTORY_KEPT_S = 30 * 86_400
STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")
STATE_FIELDS = (
    "StateValue",
    "StateReason",
    "StateReasonData",
    "StateUpdatedTimestamp",
    "StateTransitionedTimestamp",
)
"""What of an alarm's document is not its definition."""


@dataclass(slots=True)
class Alarm:
    """One alarm: ``document`` as DescribeAlarms answers it, ``private`` for the server alone."""

    name: str
    kind: str
    document: dict[str, Any]
    private: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """OK, ALARM or INSUFFICIENT_DATA."""
        return str(self.document["StateValue"])


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One entry of an alarm's history."""

    item_id: int
    alarm: str
    kind: str
    at_s: float
    type: str
    summary: str
    data: str


class AlarmStore:
    """All alarms of the server; safe to use from several threads.

    Args:
        directory: Holds the database; created when missing.
    """

    def __init__(self, directory: Path) -> None:
        self._database = Database(directory / "alarms.sqlite3", SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def state(self, name: str) -> str:
        """OK, ALARM or INSUFFICIENT_DATA.

        Raises:
            KeyError: there is no such alarm.
        """
        return self.get(name).state

    def get(self, name: str) -> Alarm:
        """One alarm.

        Raises:
            KeyError: there is no such alarm.
        """
        with self._database.reading() as connection:
            return _get(connection, name)

    def all(self) -> list[Alarm]:
        """All alarms, by name."""
        with self._database.reading() as connection:
            return [_alarm(row) for row in connection.execute("SELECT * FROM alarm ORDER BY name")]

    def put(self, alarm: Alarm, summary: str, data: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Write an alarm's definition, with that noted in its history; one that is there keeps its state."""
        with self._database.writing() as connection:
            # Read here: since the caller looked it may have been evaluated, and nobody would do that again.
            with suppress(KeyError):
                before = _get(connection, alarm.name).document
                alarm.document |= {key: before[key] for key in STATE_FIELDS if key in before}
            _put(connection, alarm)
            _note(connection, alarm, "ConfigurationUpdate", summary, data)
            for key, value in tags.items():
                connection.execute(
                    "INSERT OR REPLACE INTO alarm_tag VALUES (?, ?, ?)", (alarm.name, key, value)
                )

    @contextmanager
    def changing(self, name: str) -> Iterator[tuple[Alarm, list[tuple[str, str, Mapping[str, Any]]]]]:
        """An alarm to change, and a list that takes what its history is to say of it (type, summary, data).

        Raises:
            KeyError: there is no such alarm.
        """
        notes: list[tuple[str, str, Mapping[str, Any]]] = []
        with self._database.writing() as connection:
            alarm = _get(connection, name)
            yield alarm, notes
            _put(connection, alarm)
            for type_, summary, data in notes:
                _note(connection, alarm, type_, summary, data)

    def note(self, alarm: Alarm, type_: str, summary: str, data: Mapping[str, Any]) -> None:
        """Add to the history of an alarm."""
        with self._database.writing() as connection:
            _note(connection, alarm, type_, summary, data)

    def delete(self, name: str) -> Alarm:
        """Remove an alarm; its history stays, as on AWS.

        Raises:
            KeyError: there is no such alarm.
        """
        with self._database.writing() as connection:
            alarm = _get(connection, name)
            connection.execute("DELETE FROM alarm WHERE name = ?", (name,))
            connection.execute("DELETE FROM alarm_tag WHERE alarm = ?", (name,))
            data = {"version": "1.0", "type": "Delete", "deletedAlarm": {"alarmName": name}}
            _note(connection, alarm, "ConfigurationUpdate", f'Alarm "{name}" deleted', data)
            return alarm

    def history(self, name: str | None = None) -> list[HistoryItem]:
        """What happened, newest first; of one alarm or of all."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM history WHERE (?1 IS NULL OR alarm = ?1) ORDER BY item_id DESC", (name,)
            )
            return [HistoryItem(*row) for row in rows]

    def purge(self) -> None:
        """Remove history older than AWS keeps it."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM history WHERE at_s < ?", (time.time() - HISTORY_KEPT_S,))

    def tags(self, name: str) -> dict[str, str]:
        """The tags of an alarm."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT key, value FROM alarm_tag WHERE alarm = ? ORDER BY key", (name,)
            )
            return {row[0]: row[1] for row in rows}

    def set_tags(self, name: str, tags: Mapping[str, str], removed: tuple[str, ...] = ()) -> None:
        """Add, overwrite and remove tags of an alarm."""
        with self._database.writing() as connection:
            for key, value in tags.items():
                connection.execute("INSERT OR REPLACE INTO alarm_tag VALUES (?, ?, ?)", (name, key, value))
            for key in removed:
                connection.execute("DELETE FROM alarm_tag WHERE alarm = ? AND key = ?", (name, key))


def _get(connection: sqlite3.Connection, name: str) -> Alarm:
    row = connection.execute("SELECT * FROM alarm WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise KeyError(name)
    return _alarm(row)


def _alarm(row: sqlite3.Row) -> Alarm:
    return Alarm(row["name"], row["kind"], json.loads(row["document"]), json.loads(row["private"]))


def _put(connection: sqlite3.Connection, alarm: Alarm) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO alarm VALUES (?, ?, ?, ?)",
        (alarm.name, alarm.kind, json.dumps(alarm.document), json.dumps(alarm.private)),
    )


def _note(
    connection: sqlite3.Connection, alarm: Alarm, type_: str, summary: str, data: Mapping[str, Any]
) -> None:
    connection.execute(
        "INSERT INTO history (alarm, kind, at_s, type, summary, data) VALUES (?, ?, ?, ?, ?, ?)",
        (alarm.name, alarm.kind, time.time(), type_, summary, json.dumps(data)),
    )
