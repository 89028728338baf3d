"""Metrics of trial components, by time and by step, as BatchPutMetrics brings them: every value is kept."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sagemaker_local.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS trial_metric (
    value_id INTEGER PRIMARY KEY, component TEXT NOT NULL, name TEXT NOT NULL, at_s REAL NOT NULL,
    step INTEGER, value REAL NOT NULL);
CREATE INDEX IF NOT EXISTS trial_metric_by_name ON trial_metric (component, name, at_s);
"""

PERIODS_S: Mapping[str, int] = {"OneMinute": 60, "FiveMinute": 300, "OneHour": 3600}
STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Min": min,
    "Max": max,
    "Avg": statistics.fmean,
    "Count": lambda values: float(len(values)),
    "StdDev": statistics.pstdev,
    "Last": lambda values: values[-1],
}
POINTS_PER_QUERY = 2880


class TrialMetric(NamedTuple):
    """One value."""

    name: str
    at_s: float
    step: int | None
    value: float


class TrialMetricStore:
    """Metrics of all trial components; safe to use from several threads.

    Args:
        directory: Holds the database; created when missing.
    """

    def __init__(self, directory: Path) -> None:
        self._database = Database(directory / "trial-metrics.sqlite3", SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def add(self, component: str, values: Iterable[TrialMetric]) -> None:
        """Keep values of a trial component, all of them or none."""
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT INTO trial_metric (component, name, at_s, step, value) VALUES (?, ?, ?, ?, ?)",
                [(component, *value) for value in values],
            )

    def query(
        self, component: str, name: str, *, statistic: str, period: str, start: int | None, end: int | None
    ) -> list[tuple[int, float]]:
        """One statistic by period (its start in seconds) or by step, in their order.

        Args:
            component: The trial component.
            name: The metric.
            statistic: One of :data:`STATISTICS`.
            period: One of :data:`PERIODS_S`, or ``IterationNumber``.
            start: Of the axis.
            end: Of the axis; it is included.
        """
        axis = (
            f"CAST(at_s AS INTEGER) / {PERIODS_S[period]} * {PERIODS_S[period]}"
            if period in PERIODS_S
            else "step"
        )
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {axis} AS x, value FROM trial_metric WHERE component = ?1 AND name = ?2 "  # noqa: S608
                "AND x IS NOT NULL AND (?3 IS NULL OR x >= ?3) AND (?4 IS NULL OR x <= ?4) "
                "ORDER BY x, at_s, value_id",
                (component, name, start, end),
            ).fetchall()
        groups: dict[int, list[float]] = {}
        for x, value in rows:
            groups.setdefault(x, []).append(value)
        return [(x, STATISTICS[statistic](values)) for x, values in groups.items()]
