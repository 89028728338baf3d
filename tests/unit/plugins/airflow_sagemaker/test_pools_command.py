from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_sagemaker.__main__ import main
from airflow_sagemaker.pools_command import as_import
from airflow_sagemaker.specs.quotas import QuotasFileError


def test_a_deferred_task_holds_its_slots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "quotas.yaml").write_text("processing: {ml.m5.large: 4}\n")
    assert main(["pools", "--include", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "ml.m5.large-processing": {
            "slots": 4,
            "description": "ml.m5.large for processing job usage (quotas.yaml)",
            "include_deferred": True,
        }
    }


def test_the_account_is_asked_only_where_the_file_says_so() -> None:
    quotas = {"ml.m5.large for training job usage": 7}
    assert as_import({"ml.m5.large-training": None}, lambda: quotas)["ml.m5.large-training"]["slots"] == 7
    assert as_import({"ml.m5.large-training": 2}, lambda: pytest.fail("asked"))
    with pytest.raises(QuotasFileError, match="write a number"):
        as_import({"ml.p3.2xlarge-training": None}, lambda: quotas)


def test_a_wrong_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "quotas.yaml").write_text("training: 1\n")
    assert main(["pools", "--include", str(tmp_path)]) == 1
    assert "quotas.yaml: training" in capsys.readouterr().err


def test_nothing_named_is_nothing_to_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pools", "--include", str(tmp_path), "--apply"]) == 0
    assert "nothing to import" in capsys.readouterr().out
