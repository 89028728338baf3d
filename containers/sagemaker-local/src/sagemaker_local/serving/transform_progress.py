"""How far a batch transform is: a line every few seconds for who waits, and one at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_S = 5.0
MOST_S = 30.0
"""A line every five seconds at first; later after each tenth of the time so far, up to this."""
PREFIX = "sagemaker-local: "
MEGABYTE = 1_000_000


@dataclass(slots=True)
class Counted:
    """What one request has counted so far."""

    rows: int = 0
    size: int = 0


@dataclass(slots=True)
class Progress:
    """What has been transformed.

    Attributes:
        objects: How many there are.
        size: Their bytes in S3.
        packed: They are compressed, so that bytes read say nothing of what is left.
        clock: Seconds.
    """

    objects: int
    size: int
    packed: bool = False
    clock: Callable[[], float] = time.monotonic
    objects_done: int = 0
    rows: int = 0
    bytes_done: int = 0
    bytes_out: int = 0
    since: float = field(init=False)

    def __post_init__(self) -> None:
        self.since = self.clock()

    @property
    def elapsed_s(self) -> float:
        """Since the first request could be sent."""
        return self.clock() - self.since

    @property
    def next_line_s(self) -> float:
        """How long until the next line is due."""
        return min(MOST_S, max(FIRST_S, self.elapsed_s / 10))

    def answered(self, rows: int, size: int, counted: Counted | None = None) -> None:
        """Note that a payload of so many rows and bytes has its answer, or that they are sent."""
        self.rows += rows
        self.bytes_done += size
        if counted is not None:
            counted.rows += rows
            counted.size += size

    def forget(self, counted: Counted) -> None:
        """What was counted is sent again."""
        self.rows -= counted.rows
        self.bytes_done -= counted.size
        counted.rows = counted.size = 0

    def line(self) -> str:
        """How far it is, how fast, and how long it still takes."""
        taken = self.elapsed_s
        done = f"{self.rows:,} rows"
        if not self.packed:
            done += f", {self.bytes_done / MEGABYTE:,.1f} of {self.size / MEGABYTE:,.1f} MB"
        if self.objects > 1:
            done += f", {self.objects_done} of {self.objects} objects"
        said = f"{done} in {_duration(taken)}; {self.rows / max(taken, 0.001):,.0f} rows/s"
        left = self.remaining_s()
        return said if left is None else f"{said}, about {_duration(left)} left"

    def remaining_s(self) -> float | None:
        """At the speed so far; None when nothing can be said."""
        if self.packed or not self.bytes_done:
            return None
        left = max(self.size - self.bytes_done, 0)
        return left * self.elapsed_s / self.bytes_done

    def summary(self) -> str:
        """What came of it."""
        taken = self.elapsed_s
        return (
            f"{self.objects_done} of {self.objects} objects, {self.rows:,} rows, "
            f"{self.bytes_done / MEGABYTE:,.1f} MB in, {self.bytes_out / MEGABYTE:,.1f} MB out "
            f"in {taken:.2f} s: {self.rows / max(taken, 0.001):,.0f} rows/s"
        )


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole / 3600:.1f} h"
