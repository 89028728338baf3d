"""Metrics on disk: statistic sets by second, minute, five minutes and hour, each kept as long as on AWS.

Values are added up in memory and written at least once a second, so that an invocation costs microseconds
and a kill loses no more than what nobody was told is safe: PutMetricData answers after the write.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sagemaker_local.cloudwatch.statistics import StatisticSet
from sagemaker_local.database import Database

logger = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    series_id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, dimensions TEXT NOT NULL,
    unit TEXT NOT NULL, last_s INTEGER NOT NULL DEFAULT 0, UNIQUE (namespace, name, dimensions, unit));
CREATE TABLE IF NOT EXISTS point (
    resolution_s INTEGER NOT NULL, series_id INTEGER NOT NULL, start_s INTEGER NOT NULL,
    total REAL NOT NULL, count REAL NOT NULL, least REAL NOT NULL, most REAL NOT NULL, packed BLOB,
    PRIMARY KEY (resolution_s, series_id, start_s)) WITHOUT ROWID;
"""

DAY_S = 86_400
RETENTION_S: Mapping[int, int] = {1: 3 * 3600, 60: 15 * DAY_S, 300: 63 * DAY_S, 3600: 455 * DAY_S}
"""Resolution → how long its points are kept."""

FLUSH_INTERVAL_S = 0.5
PURGE_INTERVAL_S = 600.0
BUFFERED_SETS = 100_000
"""What is kept in memory while the disk takes nothing; the oldest go first."""

Dimensions = tuple[tuple[str, str], ...]


class Series(NamedTuple):
    """One metric in one unit: what CloudWatch adds up."""

    namespace: str
    name: str
    dimensions: Dimensions
    unit: str


def series_of(namespace: str, name: str, dimensions: Mapping[str, str], unit: str = "None") -> Series:
    """The series of a metric; the order of its dimensions does not matter."""
    return Series(namespace, name, tuple(sorted(dimensions.items())), unit)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as ListMetrics tells it."""

    namespace: str
    name: str
    dimensions: Dimensions
    last_s: int


class MetricStore:
    """All metrics of the server; safe to use from several threads.

    Args:
        directory: Holds the database; created when missing.
    """

    def __init__(self, directory: Path) -> None:
        self._database = Database(directory / "metrics.sqlite3", SCHEMA)
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._buffer: dict[tuple[Series, int, int], StatisticSet] = {}
        self._closed = threading.Event()
        self._next_purge = time.monotonic() + 60.0
        self._flusher = threading.Thread(target=self._flush_forever, name="metrics", daemon=True)
        self._flusher.start()

    def close(self) -> None:
        """Write what is left and close the database."""
        self._closed.set()
        self._flusher.join()
        self._flush_or_keep()
        self._database.close()

    # Writing

    def put(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        value: float,
        unit: str = "None",
        at_s: float | None = None,
    ) -> None:
        """Add a value; it is on disk within a second."""
        self.add([(series_of(namespace, name, dimensions, unit), value)], at_s)

    def add(self, values: Iterable[tuple[Series, float]], at_s: float | None = None) -> None:
        """Add values of one moment to their series: the quick way, for whoever keeps its series."""
        second = int(time.time() if at_s is None else at_s)
        with self._lock:
            for series, value in values:
                self._set_of(series, second, 1).add(value)

    def add_set(self, series: Series, statistics: StatisticSet, at_s: float, resolution_s: int) -> None:
        """Add what PutMetricData brings: of high resolution (1) or standard (60)."""
        start_s = int(at_s) // resolution_s * resolution_s
        with self._lock:
            self._set_of(series, start_s, resolution_s).merge(statistics)

    def _set_of(self, series: Series, start_s: int, resolution_s: int) -> StatisticSet:
        key = (series, start_s, resolution_s)
        found = self._buffer.get(key)
        if found is None:
            found = self._buffer[key] = StatisticSet()
        return found

    def flush(self) -> None:
        """Write everything added so far; returns when it is on disk."""
        with self._writing:
            with self._lock:
                taken, self._buffer = self._buffer, {}
            if not taken:
                return
            try:
                self._write(taken)
            except BaseException:
                self._put_back(taken)
                raise

    def _write(self, taken: Mapping[tuple[Series, int, int], StatisticSet]) -> None:
        with self._database.writing() as connection:
            for (series, start_s, finest_s), statistics in taken.items():
                key = (series.namespace, series.name, json.dumps(series.dimensions), series.unit)
                (series_id,) = connection.execute(
                    "INSERT INTO series (namespace, name, dimensions, unit, last_s) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (namespace, name, dimensions, unit) "
                    "DO UPDATE SET last_s = MAX(last_s, excluded.last_s) RETURNING series_id",
                    (*key, start_s),
                ).fetchone()
                for resolution_s in (each for each in RETENTION_S if each >= finest_s):
                    where = (resolution_s, series_id, start_s // resolution_s * resolution_s)
                    row = connection.execute(
                        "SELECT total, count, least, most, packed FROM point "
                        "WHERE resolution_s = ? AND series_id = ? AND start_s = ?",
                        where,
                    ).fetchone()
                    whole = StatisticSet.unpacked(*row) if row else StatisticSet()
                    whole.merge(statistics)
                    connection.execute(
                        "INSERT OR REPLACE INTO point VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (*where, whole.total, whole.count, whole.least, whole.most, whole.packed_values()),
                    )

    def _put_back(self, taken: dict[tuple[Series, int, int], StatisticSet]) -> None:
        with self._lock:
            for key, statistics in self._buffer.items():
                taken.setdefault(key, StatisticSet()).merge(statistics)
            too_many = len(taken) - BUFFERED_SETS
            for key in list(taken)[: max(0, too_many)]:
                del taken[key]
            self._buffer = taken

    def _flush_forever(self) -> None:
        while not self._closed.wait(FLUSH_INTERVAL_S):
            self._flush_or_keep()
            if time.monotonic() > self._next_purge:
                self._next_purge = time.monotonic() + PURGE_INTERVAL_S
                self._purge_or_wait()

    def _flush_or_keep(self) -> None:
        try:
            self.flush()
        except Exception:  # a full disk, most likely: the thread must go on
            logger.exception("metrics are not written; they stay in memory and are tried again")

    def _purge_or_wait(self) -> None:
        try:
            self.purge()
        except Exception:  # as above
            logger.exception("old metrics are not removed; tried again in %.0f s", PURGE_INTERVAL_S)

    def purge(self, now_s: float | None = None) -> None:
        """Remove what is older than AWS keeps it."""
        now_s = time.time() if now_s is None else now_s
        with self._database.writing() as connection:
            for resolution_s, kept_s in RETENTION_S.items():
                connection.execute(
                    "DELETE FROM point WHERE resolution_s = ? AND start_s < ?",
                    (resolution_s, int(now_s) - kept_s),
                )
            connection.execute("DELETE FROM series WHERE last_s < ?", (int(now_s) - RETENTION_S[3600],))

    # Reading

    def metrics(self, namespace: str | None = None, name: str | None = None) -> list[Metric]:
        """All metrics that have data, by name."""
        self.flush()
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT namespace, name, dimensions, MAX(last_s) FROM series "
                "WHERE (?1 IS NULL OR namespace = ?1) AND (?2 IS NULL OR name = ?2) "
                "GROUP BY namespace, name, dimensions",
                (namespace, name),
            ).fetchall()
        metrics = [Metric(row[0], row[1], _dimensions(row[2]), row[3]) for row in rows]
        return sorted(metrics, key=lambda metric: (metric.namespace, metric.name, metric.dimensions))

    def units(self, namespace: str, name: str, dimensions: Mapping[str, str]) -> list[str]:
        """The units in which a metric has data."""
        self.flush()
        key = (namespace, name, json.dumps(tuple(sorted(dimensions.items()))))
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT unit FROM series WHERE namespace = ? AND name = ? AND dimensions = ? ORDER BY unit",
                key,
            )
            return [row[0] for row in rows]

    def points(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        *,
        start_s: int,
        end_s: int,
        period_s: int,
        unit: str | None = None,
    ) -> dict[int, StatisticSet]:
        """Statistics of each period from ``start_s`` on that has data, by its start; of all units or one."""
        self.flush()
        found: dict[int, StatisticSet] = {}
        key = (namespace, name, json.dumps(tuple(sorted(dimensions.items()))))
        with self._database.reading() as connection:
            ids = [
                row[0]
                for row in connection.execute(
                    "SELECT series_id FROM series WHERE namespace = ? AND name = ? AND dimensions = ? "
                    "AND (?4 IS NULL OR unit = ?4)",
                    (*key, unit),
                )
            ]
            resolution_s = finest_needed(period_s, start_s)
            for series_id in ids:
                for row in connection.execute(
                    "SELECT start_s, total, count, least, most, packed FROM point "
                    "WHERE resolution_s = ? AND series_id = ? AND start_s >= ? AND start_s < ? "
                    "ORDER BY start_s",
                    (resolution_s, series_id, start_s, end_s),
                ):
                    period = start_s + (row[0] - start_s) // period_s * period_s
                    found.setdefault(period, StatisticSet()).merge(StatisticSet.unpacked(*row[1:]))
        return dict(sorted(found.items()))


def finest_needed(period_s: int, start_s: int) -> int:
    """The coarsest resolution of which the periods consist."""
    fitting: Sequence[int] = [each for each in RETENTION_S if period_s % each == 0 and start_s % each == 0]
    return max(fitting)


def _dimensions(stored: str) -> Dimensions:
    return tuple((key, value) for key, value in json.loads(stored))
