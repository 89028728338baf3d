"""What every operator does with its connection."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.hooks import tables
from airflow_sagemaker.operators.base import time_left_s
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


@pytest.mark.parametrize(
    ("limit", "least_s", "most_s"),
    [
        pytest.param(None, math.inf, math.inf, id="no execution_timeout"),
        pytest.param(timedelta(hours=3), 3500, 3600, id="an hour is left of three"),
        pytest.param(timedelta(hours=1), -3700, -3600, id="passed an hour ago"),
    ],
)
def test_a_deferral_counts_toward_the_execution_timeout(
    limit: timedelta | None, least_s: float, most_s: float
) -> None:
    started = datetime.now(tz=UTC) - timedelta(hours=2)
    ti = SimpleNamespace(task=SimpleNamespace(execution_timeout=limit), start_date=started)
    context: Any = {"ti": ti}
    assert least_s <= time_left_s(context) <= most_s
