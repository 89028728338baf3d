"""The digits' processing image: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.containers.programs import Image, Job, write

HEADER = ",".join(["label", *(f"pixel_{number}" for number in range(64))]) + "\n"
PREPARE = Image("digits-prepare")
ROW = "7," + ",".join(["16"] * 64) + "\n"


def land(base: Path, days: dict[str, str], header: str = HEADER) -> Path:
    for day, lines in days.items():
        write(base / f"processing/input/raw/dt={day}/data.csv", header + lines)
    return base


def build(base: Path, *arguments: str) -> Job:
    return PREPARE.run(base, str(PREPARE.python), "prepare.py", "--mode", "build", *arguments)


def batch(base: Path, content: str) -> Job:
    write(base / "processing/input/raw/data.csv", content)
    return PREPARE.run(base, str(PREPARE.python), "prepare.py", "--mode", "batch")


def refused(job: Job) -> str:
    """The job's message, once it failed and left no output."""
    assert job.code == 1, job.output
    assert not list((job.base / "processing").glob("output/*/*.csv"))
    assert job.read("output/message") in job.output
    return job.read("output/message")


@pytest.fixture
def days(digits_lines: list[str]) -> dict[str, str]:
    return {f"2026-01-{day + 1:02}": "".join(digits_lines[day * 10 : day * 10 + 10]) for day in range(5)}


def test_build_splits_by_the_last_days(tmp_path: Path, days: dict[str, str]) -> None:
    job = build(land(tmp_path, days), "--test-partitions", "2")
    assert job.code == 0, job.output
    parts = list(days.values())
    assert job.read("processing/output/train/train.csv") == "".join(parts[:3])
    assert job.read("processing/output/test/test.csv") == "".join(parts[3:])
    columns = job.json("processing/output/columns/columns.json")
    assert columns["features"] == HEADER.strip().split(",")[1:]
    assert columns["rows"] == {"train": 30, "test": 20}
    assert columns["partitions"]["test"] == ["dt=2026-01-04", "dt=2026-01-05"]
    assert "train: 30 rows of 3 partitions in all" in job.output
    assert "test: 10 rows of dt=2026-01-05" in job.output


def test_batch_keeps_every_row_in_order(tmp_path: Path, digits_lines: list[str]) -> None:
    job = batch(tmp_path, HEADER + "".join(digits_lines[:100]))
    assert job.code == 0, job.output
    wanted = "".join(line.split(",", 1)[1] for line in digits_lines[:100])
    assert job.read("processing/output/features/features.csv") == wanted


def test_batch_needs_no_label(tmp_path: Path) -> None:
    job = batch(tmp_path, HEADER.split(",", 1)[1] + ROW.split(",", 1)[1])
    assert job.code == 0, job.output
    assert job.read("processing/output/features/features.csv") == ROW.split(",", 1)[1]


def test_batch_finds_columns_by_name(tmp_path: Path) -> None:
    numbers = [str(number % 17) for number in range(64)]
    names = HEADER.strip().split(",")[1:]
    job = batch(tmp_path, ",".join(reversed(names)) + "\n" + ",".join(reversed(numbers)) + "\n")
    assert job.read("processing/output/features/features.csv") == ",".join(numbers) + "\n"


def test_whole_numbers_may_be_written_as_floats(tmp_path: Path) -> None:
    job = batch(tmp_path, HEADER + ROW.replace("16", "16.0"))
    assert job.read("processing/output/features/features.csv") == ROW.split(",", 1)[1]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (ROW.replace("7,16", "7,17"), "line 3: pixel_0='17' must be a whole number from 0 to 16"),
        (ROW.replace("7,16", "7,-1"), "line 3: pixel_0='-1' must be"),
        (ROW.replace("7,16", "7,nan"), "line 3: pixel_0='nan' must be"),
        (ROW.replace("7,16", "7,"), "line 3: pixel_0='' must be"),
        (ROW.replace("7,16", "7,1.5"), "line 3: pixel_0='1.5' must be"),
        (ROW.replace("7,16", "10,16"), "line 3: label='10' must be a whole number from 0 to 9"),
        (ROW.replace("7,16", "16"), "line 3: 64 values, the header has 65 columns"),
        ("\n", "line 3: 0 values, the header has 65 columns"),
    ],
)
def test_a_bad_row_is_named_and_never_dropped(tmp_path: Path, row: str, complaint: str) -> None:
    message = refused(
        build(land(tmp_path, {"2026-01-01": ROW + row + ROW, "2026-01-02": ROW}), "--test-partitions", "1")
    )
    assert message.startswith("dt=2026-01-01/data.csv, ")
    assert complaint in message


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (HEADER.replace("label,", ""), "lacks label"),
        (HEADER.replace("pixel_3,", "pixel_03,"), "lacks pixel_3 and has the unknown pixel_03"),
        (HEADER.replace("pixel_3,", "pixel_4,"), "lacks pixel_3 and repeats pixel_4"),
        ("", "lacks label, pixel_0, pixel_1"),
    ],
)
def test_a_bad_header_is_refused(tmp_path: Path, header: str, complaint: str) -> None:
    land(tmp_path, {"2026-01-01": ROW})
    land(tmp_path, {"2026-01-02": ROW if header else ""}, header)
    message = refused(build(tmp_path, "--test-partitions", "1"))
    assert message.startswith("dt=2026-01-02/data.csv: the header ")
    assert complaint in message


def test_a_day_without_rows_is_refused(tmp_path: Path) -> None:
    message = refused(build(land(tmp_path, {"2026-01-01": ROW, "2026-01-02": ""}), "--test-partitions", "1"))
    assert message == "dt=2026-01-02/data.csv: holds no rows; land the day again"


@pytest.mark.parametrize(
    "stray", ["dt=2026-13-01/data.csv", "backup/data.csv", "dt=2026-01-03/other.csv", "notes.txt"]
)
def test_what_is_no_partition_is_refused(tmp_path: Path, stray: str) -> None:
    land(tmp_path, {"2026-01-01": ROW, "2026-01-02": ROW})
    write(tmp_path / "processing/input/raw" / stray, HEADER + ROW)
    assert stray.split("/")[0] in refused(build(tmp_path, "--test-partitions", "1"))


@pytest.mark.parametrize("count", ["0", "2", "-1"])
def test_a_split_without_both_parts_is_refused(tmp_path: Path, count: str) -> None:
    land(tmp_path, {"2026-01-01": ROW, "2026-01-02": ROW})
    assert "there are 2 partitions, so give 1 to 1" in refused(build(tmp_path, "--test-partitions", count))


def test_without_input_it_says_so(tmp_path: Path) -> None:
    assert "check the job's ProcessingInputs" in refused(build(tmp_path))
    land(tmp_path, {"2026-01-01": ROW})
    job = PREPARE.run(tmp_path, str(PREPARE.python), "prepare.py", "--mode", "batch")
    assert "holds no data.csv" in refused(job)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, days: dict[str, str]) -> None:
    outputs = []
    for name in ("first", "second"):
        job = build(land(tmp_path / name, days), "--test-partitions", "1")
        found = sorted((job.base / "processing/output").rglob("*.*"))
        outputs.append({str(path.relative_to(job.base)): path.read_bytes() for path in found})
    assert outputs[0] == outputs[1]
    assert len(json.loads(outputs[0]["processing/output/columns/columns.json"])["features"]) == 64


def test_build_reads_only_the_days_asked_for(tmp_path: Path, days: dict[str, str]) -> None:
    span = ("--from", "2026-01-02", "--until", "2026-01-04")
    job = build(land(tmp_path, days), "--test-partitions", "1", *span)
    assert job.code == 0, job.output
    parts = list(days.values())
    assert job.read("processing/output/train/train.csv") == "".join(parts[1:3])
    assert job.read("processing/output/test/test.csv") == parts[3]


def test_days_that_never_landed_are_refused(tmp_path: Path, days: dict[str, str]) -> None:
    job = build(land(tmp_path, days), "--test-partitions", "1", "--from", "2026-02-01")
    assert "no partition lies between --from 2026-02-01 and --until None" in refused(job)
    assert "there are dt=2026-01-01 to dt=2026-01-05" in refused(job)
