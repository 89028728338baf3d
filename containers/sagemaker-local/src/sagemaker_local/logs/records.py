"""What the log store keeps, as values, and what may be missing from it."""

from __future__ import annotations

from dataclasses import dataclass

Position = tuple[int, int]
BEGINNING: Position = (-1, 0)
END: Position = (2**62, 0)


class NoSuchGroup(LookupError):
    """The log group is not there."""


class NoSuchStream(LookupError):
    """The log stream is not there."""


class GroupExists(Exception):
    """The log group is there already."""


class StreamExists(Exception):
    """The log stream is there already."""


@dataclass(frozen=True, slots=True)
class LogGroup:
    """A log group."""

    name: str
    created_ms: int
    retention_days: int | None


@dataclass(frozen=True, slots=True)
class LogStream:
    """A log stream; the times of its events are None while it has none."""

    name: str
    created_ms: int
    first_ms: int | None
    last_ms: int | None
    ingested_ms: int | None


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event."""

    event_id: int
    stream: str
    timestamp_ms: int
    ingested_ms: int
    message: str

    @property
    def position(self) -> Position:
        """Where the event stands in the reading order."""
        return self.timestamp_ms, self.event_id


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order, and the position to go on from; None when there is nothing more."""

    events: list[LogEvent]
    next_position: Position | None
