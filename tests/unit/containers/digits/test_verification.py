"""The check that compiled and original agree."""

from __future__ import annotations

from pathlib import Path

from tests.unit.containers import programs
from tests.unit.containers.conftest import Trained
from tests.unit.containers.programs import Image

DIGITS = Image("digits")


def test_compiled_and_original_agree_on_every_row(digits: Trained, tmp_path: Path) -> None:
    test = programs.write(tmp_path / "test.csv", digits.test_csv)
    programs.processing(tmp_path, model=digits.archive, compiled=digits.compiled, test=test)
    job = DIGITS.run(tmp_path, "verify")
    assert job.code == 0, job.output
    metrics = job.json("processing/output/verification/verification.json")["metrics"]
    assert set(metrics) == {"max_abs_diff", "rows", "p50_us", "original_p50_us", "speedup"}
    assert metrics["max_abs_diff"] <= 1e-5
    assert metrics["rows"] == 384
    assert metrics["p50_us"] > 0


def test_a_difference_is_seen(digits: Trained, tmp_path: Path) -> None:
    # A model of other rows, compiled: the check has to see that it is not this one.
    lines = digits.train_csv.splitlines(keepends=True)
    assert DIGITS.train(tmp_path / "other", "".join(lines[:700])).code == 0
    other = programs.pack(tmp_path / "other/model", tmp_path / "model.tar.gz")
    test = programs.write(tmp_path / "test.csv", digits.test_csv)
    job = DIGITS.run(
        programs.processing(tmp_path, model=other, compiled=digits.compiled, test=test), "verify"
    )
    assert job.json("processing/output/verification/verification.json")["metrics"]["max_abs_diff"] > 0.1


def test_an_uncompiled_model_is_refused(digits: Trained, tmp_path: Path) -> None:
    test = programs.write(tmp_path / "test.csv", digits.test_csv)
    programs.processing(tmp_path, model=digits.archive, compiled=digits.archive, test=test)
    job = DIGITS.run(tmp_path, "verify")
    assert job.code == 1
    assert "no manifest.json" in job.read("output/message")


def test_two_artefacts_in_one_input_are_refused(digits: Trained, tmp_path: Path) -> None:
    test = programs.write(tmp_path / "test.csv", digits.test_csv)
    programs.processing(tmp_path, model=digits.archive, compiled=digits.compiled, test=test)
    programs.processing(tmp_path, compiled=digits.archive)
    job = DIGITS.run(tmp_path, "verify")
    assert job.code == 1
    assert "need exactly one *.tar.gz, found compiled.tar.gz, model.tar.gz" in job.read("output/message")


def test_a_torn_archive_is_refused(digits: Trained, tmp_path: Path) -> None:
    torn = tmp_path / "model.tar.gz"
    torn.write_bytes(digits.archive.read_bytes()[:2000])
    test = programs.write(tmp_path / "test.csv", digits.test_csv)
    job = DIGITS.run(programs.processing(tmp_path, model=torn, test=test), "evaluate")
    assert job.code == 1
    assert "cannot be unpacked" in job.read("output/message")
