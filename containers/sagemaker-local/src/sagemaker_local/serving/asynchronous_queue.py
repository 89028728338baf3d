"""The durable queue of asynchronous invocations: what was accepted is here until it has its outcome."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sagemaker_local.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS invocation (
    id INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, endpoint_created REAL NOT NULL,
    request TEXT NOT NULL, body BLOB, notification TEXT);
CREATE INDEX IF NOT EXISTS invocation_endpoint ON invocation (endpoint, id);
"""


@dataclass(frozen=True, slots=True)
class AsynchronousRequest:
    """What a caller of InvokeEndpointAsync asked, and where the outcome goes.

    Attributes:
        inference_id: The caller's, or one of ours.
        output: S3 URI of the answer.
        failure: S3 URI of an error's text, or None.
        received_s: When it was accepted, in seconds since the epoch.
        ttl_s: It is over when it was not begun by then.
        timeout_s: For the container's answer.
        input_location: S3 URI of the payload; None when the payload came with the request.
        headers: What the container gets.
    """

    inference_id: str
    output: str
    failure: str | None
    received_s: float
    ttl_s: float
    timeout_s: float
    input_location: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted request.

    Attributes:
        id: Its place in the queue.
        endpoint: Name of the endpoint.
        endpoint_created: Which of the endpoints that had this name.
        request: What was asked.
        body: The payload, when it came with the request.
        notification: What is left to tell, once the outcome is in S3: topic and message.
    """

    id: int
    endpoint: str
    endpoint_created: float
    request: AsynchronousRequest
    body: bytes | None
    notification: dict[str, Any] | None


class AsynchronousQueue:
    """Entries in one SQLite file; safe to use from several threads.

    Args:
        path: The database file.
    """

    def __init__(self, path: Path) -> None:
        # FULL: the caller was told that it will be done.
        self._database = Database(path, SCHEMA, synchronous="FULL")

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def add(
        self, endpoint: str, endpoint_created: float, request: AsynchronousRequest, body: bytes | None
    ) -> None:
        """Accept a request; it survives whatever happens from now on."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO invocation (endpoint, endpoint_created, request, body) VALUES (?, ?, ?, ?)",
                (endpoint, endpoint_created, json.dumps(asdict(request)), body),
            )

    def backlog(self) -> dict[str, int]:
        """How many requests wait or are under way, by endpoint."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT endpoint, COUNT(*) FROM invocation GROUP BY endpoint"
            ).fetchall()
        return {row[0]: row[1] for row in rows}

    def oldest(self, endpoint: str, count: int, without: Collection[int]) -> Sequence[Entry]:
        """The first requests of an endpoint that are not under way."""
        marks = ",".join("?" * len(without))
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT * FROM invocation WHERE endpoint = ? AND id NOT IN ({marks}) ORDER BY id LIMIT ?",  # noqa: S608
                (endpoint, *without, count),
            ).fetchall()
        return [
            Entry(
                row["id"],
                row["endpoint"],
                row["endpoint_created"],
                AsynchronousRequest(**json.loads(row["request"])),
                row["body"],
                json.loads(row["notification"]) if row["notification"] else None,
            )
            for row in rows
        ]

    def ended(self, entry: Entry, notification: dict[str, Any]) -> None:
        """The outcome is in S3; only the notification is left."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE invocation SET notification = ?, body = NULL WHERE id = ?",
                (json.dumps(notification), entry.id),
            )

    def remove(self, entry_id: int) -> None:
        """Nothing is left to do."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM invocation WHERE id = ?", (entry_id,))

    def forget(self, endpoint: str, except_created: float | None) -> None:
        """Drop the requests of an endpoint that is no more; a later one of that name keeps its own."""
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM invocation WHERE endpoint = ? AND endpoint_created IS NOT ?",
                (endpoint, except_created),
            )
