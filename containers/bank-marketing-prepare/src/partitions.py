"""Daily partitions of raw data: ``dt=YYYY-MM-DD/data.csv``, each with a header."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from job import JobError

DATA_FILE = "data.csv"
PREFIX = "dt="


@dataclass(frozen=True, slots=True)
class Partition:
    """One day's file; ``name`` is how errors and counts call it."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Row:
    """One row, with where it stands: ``dt=2026-01-01/data.csv, line 7``."""

    place: str
    values: dict[str, str]


def daily(directory: Path) -> list[Partition]:
    """All partitions below a directory, oldest first; anything else that lies there is an error."""
    if not directory.is_dir():
        raise JobError(f"{directory}: no such input; check the job's ProcessingInputs")
    partitions = []
    for entry in sorted(directory.iterdir()):
        try:
            if not entry.name.startswith(PREFIX):
                raise ValueError
            datetime.date.fromisoformat(entry.name.removeprefix(PREFIX))
        except ValueError:
            raise JobError(
                f"{entry}: expected only folders named {PREFIX}YYYY-MM-DD here; move it away"
            ) from None
        if not (entry / DATA_FILE).is_file():
            raise JobError(f"{entry}: holds no {DATA_FILE}; land the day again")
        partitions.append(Partition(entry.name, entry / DATA_FILE))
    if not partitions:
        raise JobError(f"{directory}: holds no partitions ({PREFIX}YYYY-MM-DD/{DATA_FILE}); land data first")
    return partitions


def between(
    partitions: Sequence[Partition], first: datetime.date | None, last: datetime.date | None
) -> list[Partition]:
    """Those from the first day to the last, both included; ISO dates sort as days do."""
    low, high = (f"{PREFIX}{day}" if day else None for day in (first, last))
    chosen = [
        partition
        for partition in partitions
        if (low is None or partition.name >= low) and (high is None or partition.name <= high)
    ]
    if not chosen:
        raise JobError(
            f"no partition lies between --from {first} and --until {last}; there are {partitions[0].name} to "
            f"{partitions[-1].name}"
        )
    return chosen


def split(partitions: Sequence[Partition], test_partitions: int) -> tuple[list[Partition], list[Partition]]:
    """Train on the past, test on the last days."""
    if not 0 < test_partitions < len(partitions):
        raise JobError(
            f"--test-partitions {test_partitions} leaves nothing to train or test on: there are "
            f"{len(partitions)} "
            f"partitions, so give 1 to {len(partitions) - 1}"
        )
    return list(partitions[:-test_partitions]), list(partitions[-test_partitions:])


def read(partition: Partition, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Row]:
    """Rows of a partition; its header holds exactly ``columns`` in any order, less ``optional`` perhaps."""
    place = f"{partition.name}/{DATA_FILE}"
    try:
        with partition.path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            _check_header(place, header, columns, optional)
            found = False
            for fields in reader:
                where = f"{place}, line {reader.line_num}"
                if len(fields) != len(header):
                    raise JobError(f"{where}: {len(fields)} values, the header has {len(header)} columns")
                found = True
                yield Row(where, dict(zip(header, fields, strict=True)))
    except (csv.Error, UnicodeDecodeError) as error:
        raise JobError(f"{place}: not a CSV file in UTF-8 ({error})") from error
    if not found:
        raise JobError(f"{place}: holds no rows; land the day again")


def _check_header(place: str, header: Sequence[str], columns: Sequence[str], optional: Sequence[str]) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    missing = [name for name in columns if name not in header and name not in optional]
    unknown = [name for name in header if name not in columns]
    problems = [
        f"{words} {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
        for words, names in (("lacks", missing), ("has the unknown", unknown), ("repeats", repeated))
        if names
    ]
    if problems:
        raise JobError(f"{place}: the header {' and '.join(problems)}; expected {columns[0]} … {columns[-1]}")
