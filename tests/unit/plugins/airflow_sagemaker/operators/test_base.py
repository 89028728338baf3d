"""What every operator does with its connection, its time and its tries; what parsing one imports."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker import errors
from airflow_sagemaker.hooks import tables
from airflow_sagemaker.operators.base import identity_of, start_of, time_left_s, will_retry
from airflow_sagemaker.operators.partition import PartitionOperator
from airflow_sagemaker.operators.publication import PublishPredictionsOperator
from airflow_sagemaker.operators.quality import DataQualityGateOperator
from airflow_sagemaker.task_record import Start
from tests.unit.plugins.airflow_sagemaker.operators.job_task import context, operator

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


def test_the_start_of_a_try_is_read_from_its_context() -> None:
    task = operator(retries=2)
    around = context(task, try_number=3, max_tries=4)
    assert start_of(around) == Start(max_tries=4, retries=2, try_number=3, clear_number=0)
    around["dag_run"] = SimpleNamespace(clear_number=5)
    assert start_of(around).clear_number == 5


@pytest.mark.parametrize(
    ("error", "try_number", "expected"),
    [
        (errors.ThrottledError("t", "c", "r"), 1, True),
        (errors.ThrottledError("t", "c", "r"), 2, False),
        (errors.AccessDeniedError("t", "c", "r"), 1, False),
        (RuntimeError("anything"), 1, True),
    ],
    ids=["a retry is left", "none is left", "the policy says no", "none of ours"],
)
def test_whether_a_retry_comes(error: Exception, try_number: int, expected: bool) -> None:
    task = operator(retries=1)
    assert will_retry(task, context(task, try_number=try_number, max_tries=1), error) is expected


def test_a_mapped_task_is_a_task_of_its_own() -> None:
    task = operator()
    around = context(task)
    plain = identity_of(around)
    around["ti"].map_index = 0
    assert identity_of(around).digest != plain.digest
    around["ti"].map_index = None
    assert identity_of(around) == plain


def test_parsing_a_dag_imports_no_client(tmp_path: Any) -> None:
    import subprocess

    program = (
        "import sys\n"
        "import airflow_sagemaker.operators.processing, airflow_sagemaker.operators.training\n"
        "import airflow_sagemaker.operators.compilation, airflow_sagemaker.operators.transform\n"
        "import airflow_sagemaker.operators.model, airflow_sagemaker.operators.endpoint\n"
        "heavy = {'boto3', 'botocore', 'aiobotocore', 'sagemaker', 'great_expectations', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=_environment(tmp_path),
    )
    assert done.stdout.splitlines()[-1] == "[]"


def _environment(home: Any) -> dict[str, str]:
    import os

    plugins = next(path for path in sys.path if path.endswith("plugins"))
    return {**os.environ, "AIRFLOW_HOME": str(home), "PYTHONPATH": plugins}
