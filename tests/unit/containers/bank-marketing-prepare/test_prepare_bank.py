"""The bank's processing image: the coding, the same in both modes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.containers.programs import Image, Job, rows_of, write

PREPARE = Image("bank-marketing-prepare")
HEADER = (
    "age,job,marital,education,default,housing,loan,contact,month,day_of_week,duration,campaign,pdays,"
    "previous,emp.var.rate,cons.price.idx,cons.conf.idx,euribor3m,nr.employed,y\n"
)
# Rows of the data set.
HOUSEMAID = (
    "56,housemaid,married,basic.4y,no,no,no,telephone,may,mon,261,1,999,0,1.1,93.994,-36.4,4.857,5191,no\n"
)
SERVICES = (
    "57,services,married,high.school,unknown,no,no,telephone,may,mon,149,1,999,0,1.1,93.994,-36.4,4.857,"
    "5191,yes\n"
)


def land(base: Path, days: dict[str, str], header: str = HEADER) -> Path:
    for day, lines in days.items():
        write(base / f"processing/input/raw/dt={day}/data.csv", header + lines)
    return base


def build(base: Path, *arguments: str) -> Job:
    split = ("--mode", "build", "--test-partitions", "1")
    return PREPARE.run(base, str(PREPARE.python), "prepare.py", *split, *arguments)


def batch(base: Path, content: str, *arguments: str) -> Job:
    write(base / "processing/input/raw/data.csv", content)
    return PREPARE.run(base, str(PREPARE.python), "prepare.py", "--mode", "batch", *arguments)


def coded(job: Job, part: str) -> list[dict[str, float]]:
    """Rows of an output as names and values."""
    features = job.json("processing/output/columns/columns.json")["features"]
    lines = rows_of(job.read(f"processing/output/{part}/{part}.csv"))
    return [dict(zip(["y", *features], line, strict=True)) for line in lines]


def test_a_row_is_coded_by_its_columns(tmp_path: Path) -> None:
    job = build(land(tmp_path, {"2008-05-05": HOUSEMAID, "2008-05-06": SERVICES}))
    assert job.code == 0, job.output
    (train,), (test,) = coded(job, "train"), coded(job, "test")
    assert (train["y"], test["y"]) == (0, 1)
    for row, expected in ((train, HOUSEMAID), (test, SERVICES)):
        raw = dict(zip(HEADER.strip().split(","), expected.strip().split(","), strict=True))
        for name, text in raw.items():
            if name in row:
                value = {"no": 0.0, "yes": 1.0}[text] if name == "y" else float(text)
                assert row[name] == value
            else:
                ones = [feature for feature, value in row.items() if feature.startswith(f"{name}=") and value]
                assert ones == [f"{name}={text}"]


def test_dropped_columns_are_gone_and_nothing_else(tmp_path: Path) -> None:
    days = {"2008-05-05": HOUSEMAID, "2008-05-06": SERVICES}
    whole = coded(build(land(tmp_path / "whole", days)), "train")[0]
    less = coded(build(land(tmp_path / "less", days), "--drop-columns", "duration, job"), "train")[0]
    gone = {"duration", *(name for name in whole if name.startswith("job="))}
    assert less == {name: value for name, value in whole.items() if name not in gone}
    assert len(whole) - 1 == 62


@pytest.mark.parametrize("arguments", [(), ("--drop-columns", "duration")])
def test_a_batch_is_coded_as_training_was(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    job = build(
        land(tmp_path / "build", {"2008-05-05": HOUSEMAID + SERVICES, "2008-05-06": SERVICES}), *arguments
    )
    lines = job.read("processing/output/train/train.csv").splitlines(keepends=True)
    done = batch(tmp_path / "batch", HEADER + HOUSEMAID + SERVICES, *arguments)
    assert done.read("processing/output/features/features.csv") == "".join(
        line.split(",", 1)[1] for line in lines
    )
    assert "features: 2 rows" in done.output


def test_a_batch_needs_no_label(tmp_path: Path) -> None:
    unlabelled = "".join(line.rsplit(",", 1)[0] + "\n" for line in (HEADER, HOUSEMAID))
    with_label = batch(tmp_path / "with", HEADER + HOUSEMAID).read("processing/output/features/features.csv")
    assert (
        batch(tmp_path / "without", unlabelled).read("processing/output/features/features.csv") == with_label
    )


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("services", "astronaut", "job='astronaut' is not one of admin., blue-collar"),
        ("services", "", "job='' is not one of"),
        (",may,", ",May,", "month='May' is not one of jan, feb"),
        ("57,", "old,", "age='old' must be a finite number"),
        ("57,", "nan,", "age='nan' must be a finite number"),
        ("4.857", "1e999", "euribor3m='1e999' must be a finite number"),
        ("yes\n", "maybe\n", "y='maybe' must be yes or no"),
        ("57,s", "57,1,s", "21 values, the header has 20 columns"),
    ],
)
def test_a_bad_row_is_named_and_never_dropped(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    days = {"2008-05-05": HOUSEMAID + SERVICES.replace(old, new), "2008-05-06": SERVICES}
    job = build(land(tmp_path, days))
    assert job.code == 1
    assert job.read("output/message").startswith("dt=2008-05-05/data.csv, line 3: ")
    assert complaint in job.read("output/message")
    assert not list((tmp_path / "processing").glob("output/*/*.csv"))


@pytest.mark.parametrize(
    ("dropped", "complaint"),
    [("durations", "durations not known; known are age, duration"), ("y", "y not known")],
)
def test_an_unknown_column_to_drop_is_refused(tmp_path: Path, dropped: str, complaint: str) -> None:
    job = batch(tmp_path, HEADER + HOUSEMAID, "--drop-columns", dropped)
    assert job.code == 1
    assert complaint in job.read("output/message")
