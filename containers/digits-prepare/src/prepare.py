"""Prepare the digits: check every raw row and write what the model reads.

``--mode build`` turns the partitions of ``input/raw`` (those ``--from`` … ``--until``, else all) into
``output/train/train.csv`` and ``output/test/test.csv`` (no header, label first; the last
``--test-partitions`` days are the test set), with ``output/columns/columns.json``. ``--mode batch`` turns the
one partition ``input/raw/data.csv`` into ``output/features/features.csv``: no header, no label, one row for
each row, in order.

Both modes use the same columns and checks, so that a batch sees what training saw. A bad row fails the job
with its place; none is ever dropped.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from digit_columns import COLUMNS, FEATURES, LABEL, features, label
from job import PROCESSING_DIR, JobError, run
from partitions import DATA_FILE, Partition, between, daily, read, split


def write_rows(path: Path, lines: Sequence[Sequence[str]]) -> None:
    """Write rows without a header, with their directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(line) + "\n" for line in lines))


def labelled(part: str, partitions: Sequence[Partition]) -> list[list[str]]:
    """Label and features of every row, with the counts printed."""
    lines: list[list[str]] = []
    for partition in partitions:
        rows = [[label(row), *features(row)] for row in read(partition, COLUMNS)]
        print(f"{part}: {len(rows)} rows of {partition.name}")
        lines.extend(rows)
    print(f"{part}: {len(lines)} rows of {len(partitions)} partitions in all")
    return lines


def build(raw: Path, output: Path, arguments: argparse.Namespace) -> None:
    """Training and test set from all partitions."""
    chosen = between(daily(raw), arguments.first, arguments.last)
    parts = dict(zip(("train", "test"), split(chosen, arguments.test_partitions), strict=True))
    lines = {part: labelled(part, partitions) for part, partitions in parts.items()}
    for part in parts:
        write_rows(output / part / f"{part}.csv", lines[part])
    columns = {
        "label": LABEL,
        "features": FEATURES,
        "partitions": {
            part: [partition.name for partition in partitions] for part, partitions in parts.items()
        },
        "rows": {part: len(rows) for part, rows in lines.items()},
    }
    path = output / "columns/columns.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(columns, indent=2) + "\n")


def batch(raw: Path, output: Path) -> None:
    """Features of one partition, row for row."""
    if not (raw / DATA_FILE).is_file():
        raise JobError(f"{raw}: holds no {DATA_FILE}; check that the day has landed")
    partition = Partition(raw.name, raw / DATA_FILE)
    lines = [features(row) for row in read(partition, COLUMNS, optional=(LABEL,))]
    write_rows(output / "features/features.csv", lines)
    print(f"features: {len(lines)} rows")


def main() -> None:
    """Read the arguments and run the mode."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mode", choices=("build", "batch"), required=True)
    day = datetime.date.fromisoformat
    parser.add_argument("--from", dest="first", type=day, help="first day to use, YYYY-MM-DD; by default all")
    parser.add_argument("--until", dest="last", type=day, help="last day to use, included; by default all")
    parser.add_argument(
        "--test-partitions", type=int, default=3, help="days at the end that are the test set"
    )
    arguments = parser.parse_args()
    raw, output = PROCESSING_DIR / "input/raw", PROCESSING_DIR / "output"
    if arguments.mode == "build":
        build(raw, output, arguments)
    else:
        batch(raw, output)


if __name__ == "__main__":
    sys.exit(run(main))
