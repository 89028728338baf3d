"""How far log streams have been read: small, exact, and the same before and after a restart.

CloudWatch Logs gives every event an id, and may show events late, with timestamps older than those already
seen. So a position is not one place: everything up to ``floor`` is done with, and of the newest events above
it each one is known. An event older than the newest is then still recognised as new, or as read.

Within one millisecond ids are taken to grow in the order in which events came in, as they are seen to. That
matters only where more than :data:`RECENT_EVENTS` events of one stream share a millisecond.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from airflow_sagemaker.triggers.log_place import LogPlace

EventKey: TypeAlias = tuple[int, int, str]
"""Timestamp, length of the id, id: ids are numbers of up to 56 digits, written as text."""

RECENT_EVENTS = 200
"""Events of a stream that are known one by one. One program writes a stream, hardly ever out of order."""
STREAMS_KEPT = 512
"""A job has at most 100 instances; an endpoint replaces its own from time to time."""
CURSOR_EVENTS = 40
"""Events that a persisted cursor knows one by one, of all streams together."""
BEGINNING: EventKey = (-1, 0, "")


@dataclass
class StreamPosition:
    """What of one stream has been read."""

    floor: EventKey = BEGINNING
    recent: list[EventKey] = field(default_factory=list)

    def take(self, timestamp_ms: int, event_id: str) -> bool:
        """Note an event as read; False where it was so before."""
        key = (timestamp_ms, len(event_id), event_id)
        if key <= self.floor:
            return False
        if not self.recent or key > self.recent[-1]:
            self.recent.append(key)
        else:
            index = bisect_left(self.recent, key)
            if self.recent[index] == key:
                return False
            self.recent.insert(index, key)
        if len(self.recent) > RECENT_EVENTS:
            self.floor = self.recent.pop(0)
        return True

    def as_json(self, events: int) -> list[Any]:
        """Floor and the newest events above it, at most so many."""
        cut = max(len(self.recent) - events, 0)
        floor = self.recent[cut - 1] if cut else self.floor
        return [[floor[0], floor[2]], [[key[0], key[2]] for key in self.recent[cut:]]]

    @classmethod
    def from_json(cls, kept: Any) -> StreamPosition:
        """What :meth:`as_json` gave."""
        (floor_ms, floor_id), recent = kept
        return cls(
            (int(floor_ms), len(floor_id), str(floor_id)),
            [(int(ms), len(event_id), str(event_id)) for ms, event_id in recent],
        )


@dataclass
class LogPosition:
    """What of a job's streams has been read.

    :param complete_ms: before this, no events are expected any more; None where nothing was read yet
    """

    streams: dict[str, StreamPosition] = field(default_factory=dict)
    complete_ms: int | None = None
    lines: int = 0

    def take(self, stream: str, timestamp_ms: int, event_id: str) -> bool:
        """Note an event as read; False where it was so before."""
        position = self.streams.get(stream)
        if position is None:
            if len(self.streams) >= STREAMS_KEPT:
                del self.streams[min(self.streams, key=lambda name: _newest(self.streams[name]))]
            position = self.streams[stream] = StreamPosition()
        if not position.take(timestamp_ms, event_id):
            return False
        self.lines += 1
        return True

    def oldest_floor_ms(self) -> int:
        """Above this, every event that was read is known."""
        return min((max(position.floor[0], 0) for position in self.streams.values()), default=0)

    def as_json(self, place: LogPlace) -> dict[str, Any]:
        """A cursor that another process goes on from."""
        each = max(CURSOR_EVENTS // max(len(self.streams), 1), 1)
        return {
            "group": place.group,
            "prefix": place.prefix,
            "complete_ms": self.complete_ms,
            "lines": self.lines,
            "streams": {name: position.as_json(each) for name, position in self.streams.items()},
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any] | None, place: LogPlace) -> LogPosition | None:
        """What :meth:`as_json` gave; None where that is about another place, or unreadable."""
        if not isinstance(kept, Mapping):
            return None
        if (kept.get("group"), kept.get("prefix")) != (place.group, place.prefix):
            return None
        try:
            streams = {
                str(name): StreamPosition.from_json(value) for name, value in kept.get("streams", {}).items()
            }
            return cls(streams, kept.get("complete_ms"), int(kept.get("lines", 0)))
        except (TypeError, ValueError, AttributeError):
            return None


def _newest(position: StreamPosition) -> EventKey:
    return position.recent[-1] if position.recent else position.floor
