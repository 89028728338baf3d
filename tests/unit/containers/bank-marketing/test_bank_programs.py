"""The bank's model image: train, evaluate, verify, and the compiled model without XGBoost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.containers import programs
from tests.unit.containers.conftest import Trained
from tests.unit.containers.programs import Image

BANK = Image("bank-marketing")

WITHOUT_FRAMEWORK = """
import sys
for name in ("xgboost", "scipy", "sklearn"):
    sys.modules[name] = None
import numpy
from model import model_fn
from opt_ml import BASE_DIR
model = model_fn(str(BASE_DIR / "model"))
print(model.kind, model.features, *model.predict(numpy.full((1, 12), 0.5)))
"""


def test_evaluation_beats_the_baseline(bank: Trained, tmp_path: Path) -> None:
    test = programs.write(tmp_path / "test.csv", bank.test_csv)
    job = BANK.run(programs.processing(tmp_path, model=bank.archive, test=test), "evaluate")
    assert job.code == 0, job.output
    metrics = job.json("processing/output/evaluation/evaluation.json")["metrics"]
    assert set(metrics) == {"auc", "accuracy", "baseline_accuracy", "rows"}
    assert metrics["rows"] == 500
    assert metrics["auc"] > 0.75
    assert metrics["accuracy"] > metrics["baseline_accuracy"]
    majority = max(bank.labels.count(0), bank.labels.count(1)) / 500
    assert metrics["baseline_accuracy"] == pytest.approx(majority)


def test_a_test_set_of_one_label_is_refused(bank: Trained, tmp_path: Path) -> None:
    lines = [line for line in bank.test_csv.splitlines(keepends=True) if line.startswith("0,")]
    test = programs.write(tmp_path / "test.csv", "".join(lines))
    job = BANK.run(programs.processing(tmp_path, model=bank.archive, test=test), "evaluate")
    assert job.code == 1
    assert "test on more partitions" in job.read("output/message")


def test_compiled_and_original_agree(bank: Trained, tmp_path: Path) -> None:
    test = programs.write(tmp_path / "test.csv", bank.test_csv)
    job = BANK.run(
        programs.processing(tmp_path, model=bank.archive, compiled=bank.compiled, test=test), "verify"
    )
    assert job.code == 0, job.output
    metrics = job.json("processing/output/verification/verification.json")["metrics"]
    assert set(metrics) == {"max_abs_diff", "rows", "p50_us", "original_p50_us", "speedup"}
    assert metrics["max_abs_diff"] <= 1e-6
    assert metrics["rows"] == 500


def test_the_compiled_model_needs_no_framework(bank: Trained, tmp_path: Path) -> None:
    shutil.copytree(bank.compiled_directory, tmp_path / "compiled/model")
    kind, features, probability = BANK.code(tmp_path / "compiled", WITHOUT_FRAMEWORK).split()
    assert (kind, features) == ("compiled", "12")
    assert 0 < float(probability) < 1
    shutil.copytree(bank.directory, tmp_path / "original/model")
    with pytest.raises(AssertionError, match="xgboost"):
        BANK.code(tmp_path / "original", WITHOUT_FRAMEWORK)


def test_the_server_answers_row_for_row(bank: Trained, tmp_path: Path) -> None:
    answers = {}
    for kind, directory in (("original", bank.directory), ("compiled", bank.compiled_directory)):
        base = tmp_path / kind
        shutil.copytree(directory, base / "model")
        with BANK.server(base) as server:
            status, text = server.invoke(bank.features_csv)
            assert status == 200
            answers[kind] = [float(line) for line in text.splitlines()]
            single = [server.invoke(line)[1].strip() for line in bank.features_csv.splitlines()[:130]]
            assert [float(text) for text in single] == pytest.approx(answers[kind][:130], abs=1e-7)
            assert server.invoke("1,2\n") == (400, "row 1 has 2 values, the model takes 12\n")
    assert len(answers["original"]) == 500
    assert answers["compiled"] == pytest.approx(answers["original"], abs=1e-6)


def test_the_same_rows_give_the_same_model(bank: Trained, tmp_path: Path) -> None:
    job = BANK.train(tmp_path, bank.train_csv)
    for name in ("model.ubj", "baseline.json"):
        assert (job.base / "model" / name).read_bytes() == (bank.directory / name).read_bytes()
    assert json.loads(job.read("model/baseline.json")) == {"name": "majority class", "label": 0}


def test_hyperparameters_reach_the_model(bank: Trained, tmp_path: Path) -> None:
    job = BANK.train(tmp_path, bank.train_csv, {"num_round": "3", "max_depth": "2", "seed": "5"})
    assert job.code == 0, job.output
    shown = "import xgboost, opt_ml; b = xgboost.Booster(model_file=opt_ml.BASE_DIR / 'model/model.ubj'); "
    assert BANK.code(tmp_path, shown + "print(b.num_boosted_rounds())").strip() == "3"


def test_wrong_requests_are_named(bank: Trained, tmp_path: Path) -> None:
    wrong = {"num_round": "0", "subsample": "1.5", "eta": "fast", "objective": "reg:squarederror"}
    job = BANK.train(tmp_path / "first", bank.train_csv, wrong)
    reason = job.read("output/failure")
    assert job.code == 1
    assert "num_round='0' must be a whole number from 1 to 10000" in reason
    assert "subsample='1.5' must be a number from 0.001 to 1" in reason
    assert "eta='fast' must be" in reason
    assert "'objective' is not known" in reason
    assert "label 2 of row 2 is neither 0 nor 1" in BANK.train(tmp_path / "second", "1,5\n2,5\n").read(
        "output/failure"
    )
    assert "all 2 rows have the label 1" in BANK.train(tmp_path / "third", "1,5\n1,6\n").read(
        "output/failure"
    )


def test_a_foreign_artefact_is_refused(bank: Trained, tmp_path: Path) -> None:
    shutil.copytree(bank.compiled_directory, tmp_path / "model")
    path = tmp_path / "model/manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"model_file": "model.onnx"}))
    with pytest.raises(AssertionError, match=r"model\.onnx"):
        BANK.code(tmp_path, WITHOUT_FRAMEWORK)
    path.write_text(json.dumps(manifest))
    (tmp_path / "model/model.so").write_bytes(b"no shared object")
    with pytest.raises(AssertionError, match="no shared object"):
        BANK.code(tmp_path, WITHOUT_FRAMEWORK)
