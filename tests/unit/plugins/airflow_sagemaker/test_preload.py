"""What a worker has in memory, and does not need to have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_sagemaker.hooks.sagemaker import SageMakerHook, service_models
from tests.conftest import ROOT

DEFERS = """
import sys
from airflow_sagemaker.preload import preload
preload()
heavy = [name for name in ("aiohttp", "aiobotocore", "sagemaker", "pandas") if name in sys.modules]
assert not heavy, f"a worker that only defers imports {heavy}"
assert "airflow_sagemaker.triggers.job" in sys.modules
"""


def test_a_worker_that_defers_imports_no_client_of_the_triggerers() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEFERS],
        env={"PYTHONPATH": str(ROOT / "plugins"), "PATH": "", "AIRFLOW_HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_botocore_knows_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = '{"conn_type": "aws", "extra": {"region_name": "us-east-1"}}'
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", connection)
    first = SageMakerHook().client("sagemaker")
    monkeypatch.setattr(service_models().file_loader, "load_file", _read_again)
    second = SageMakerHook().client("sagemaker")
    assert second.meta.service_model.operation_names == first.meta.service_model.operation_names


def _read_again(path: str) -> None:
    raise AssertionError(f"{path} is read again")
