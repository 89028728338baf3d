"""The digits' training program: what it reaches, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.containers import programs
from tests.unit.containers.conftest import Trained
from tests.unit.containers.programs import Image, Job

DIGITS = Image("digits")


def refused(job: Job) -> str:
    """The job's failure reason, once it failed and left no model."""
    assert job.code == 1, job.output
    assert not (job.base / "model").exists()
    return job.read("output/failure")


def test_the_model_reads_unseen_writers(digits: Trained, tmp_path: Path) -> None:
    test = programs.write(tmp_path / "test.csv", digits.test_csv)
    job = DIGITS.run(programs.processing(tmp_path, model=digits.archive, test=test), "evaluate")
    assert job.code == 0, job.output
    metrics = job.json("processing/output/evaluation/evaluation.json")["metrics"]
    assert metrics["accuracy"] >= 0.95
    assert metrics["accuracy"] > metrics["baseline_accuracy"] > 0.5
    assert metrics["rows"] == len(digits.labels) == 384


def test_the_compiled_model_reaches_the_same(digits: Trained, tmp_path: Path) -> None:
    test = programs.write(tmp_path / "test.csv", digits.test_csv)
    job = DIGITS.run(programs.processing(tmp_path, model=digits.compiled, test=test), "evaluate")
    metrics = job.json("processing/output/evaluation/evaluation.json")["metrics"]
    assert metrics["accuracy"] >= 0.95
    assert "baseline_accuracy" not in metrics


def test_the_same_rows_give_the_same_model(digits: Trained, tmp_path: Path) -> None:
    job = DIGITS.train(tmp_path, digits.train_csv)
    for name in ("model.joblib", "baseline.json"):
        assert (tmp_path / "model" / name).read_bytes() == (digits.directory / name).read_bytes()
    assert "train:accuracy=1.000000" in job.output
    assert json.loads(job.read("model/baseline.json"))["name"] == "nearest centroid"


def test_hyperparameters_reach_the_model(digits: Trained, tmp_path: Path) -> None:
    chosen = {"C": "0.5", "gamma": "1e-3", "calibration_folds": "3", "sagemaker_region": "us-east-1"}
    programs.write(tmp_path / "input/data/validation/test.csv", digits.test_csv)
    job = DIGITS.train(tmp_path, digits.train_csv, chosen)
    assert job.code == 0, job.output
    assert "validation:accuracy=0.9" in job.output
    shown = "import joblib, opt_ml; m = joblib.load(opt_ml.BASE_DIR / 'model/model.joblib'); "
    shown += "print(m.cv, m.estimator.C)"
    assert DIGITS.code(tmp_path, shown).split() == ["3", "0.5"]


def test_all_wrong_hyperparameters_are_named_at_once(tmp_path: Path) -> None:
    wrong = {"C": "0", "gamma": "wide", "calibration_folds": "2.5", "random_state": "-1", "epochs": "3"}
    reason = refused(DIGITS.train(tmp_path, "1,2\n", wrong))
    for part in (
        "C='0' must be a number from 1e-06 to 1000000",
        "gamma='wide' must be a number",
        "calibration_folds='2.5' must be a whole number from 2 to 20",
        "random_state='-1' must be a whole number",
        "'epochs' is not known (known: C, gamma, calibration_folds, random_state)",
    ):
        assert part in reason


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    wrong = {"C": "nan", "gamma": "", "calibration_folds": "inf", "random_state": "1e3"}
    reason = refused(DIGITS.train(tmp_path, "1,2\n", wrong))
    assert all(f"{name}={text!r} must be" in reason for name, text in wrong.items())


CHANNELS = """
import pathlib, opt_ml, training
for directory in sorted(opt_ml.BASE_DIR.iterdir()):
    training.opt_ml.BASE_DIR = directory
    try:
        training.read_channel("train")
    except opt_ml.JobError as error:
        print(error)
"""


def test_bad_rows_are_named(tmp_path: Path, digits_lines: list[str]) -> None:
    first, second = digits_lines[:2]
    wrong = {
        first + second.rsplit(",", 1)[0] + "\n": "train.csv: row 2 has 64 values",
        first.rsplit(",", 1)[0] + "\n": "63 features after the label, need 64",
        first + "12" + second[1:]: "label 12 of row 2 is not a digit 0 to 9",
        first + "1.5" + second[1:]: "label 1.5 of row 2 is not a whole number",
        first + second.replace(",0,", ",x,", 1): "train.csv: row 2, value 2: 'x' is not a finite number",
        "": "train.csv: there are no rows",
    }
    for number, content in enumerate(wrong):
        programs.write(tmp_path / str(number) / "input/data/train/train.csv", content)
    found = DIGITS.code(tmp_path, CHANNELS).splitlines()
    assert len(found) == len(wrong)
    for line, reason in zip(found, wrong.values(), strict=True):
        assert line.startswith("channel train: ")
        assert reason in line


def test_too_few_rows_are_refused(tmp_path: Path, digits_lines: list[str]) -> None:
    reason = refused(DIGITS.train(tmp_path, "".join(digits_lines[:10])))
    assert "digit 0 has 1 rows, calibration_folds=5 needs at least as many of each digit" in reason


def test_a_missing_channel_is_named(tmp_path: Path) -> None:
    reason = refused(DIGITS.run(tmp_path, "train"))
    assert "channel train" in reason
    assert "no *.csv files" in reason
