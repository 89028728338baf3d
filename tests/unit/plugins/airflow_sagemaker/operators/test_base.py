"""What every operator does with its connection."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.hooks import tables
from airflow_sagemaker.operators.partition import PartitionOperator
from airflow_sagemaker.operators.publication import PublishPredictionsOperator
from airflow_sagemaker.operators.quality import DataQualityGateOperator

EXPECTATIONS = Path(__file__).parents[5] / "include" / "expectations"
REGION = "eu-north-1"
CONTEXT: Any = {"dag_run": SimpleNamespace(logical_date=datetime(2026, 1, 2, tzinfo=UTC), run_id="r")}


@pytest.mark.parametrize(
    "task",
    [
        PartitionOperator(task_id="t", table="raw/", region_name=REGION),
        DataQualityGateOperator(
            task_id="t",
            suite="digits_raw",
            suites=EXPECTATIONS,
            table="raw/",
            results="q/",
            region_name=REGION,
        ),
        PublishPredictionsOperator(
            task_id="t",
            partition="2026-01-02",
            features="f.csv",
            predictions="p.csv",
            destination="d/",
            columns=("label",),
            model_package_arn="arn",
            region_name=REGION,
        ),
    ],
    ids=lambda task: type(task).__name__,
)
def test_tables_are_read_in_the_region_of_the_task(
    task: Any, moto_connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Seen(Exception):
        pass

    def see(hook: tables.TableHook, _: str) -> None:
        raise Seen(hook.storage.sagemaker.client("s3").meta.region_name)

    monkeypatch.setattr(tables.TableHook, "objects", see)
    monkeypatch.setattr(tables.TableHook, "content", see)
    with pytest.raises(Seen, match=REGION):
        task.execute(CONTEXT)
