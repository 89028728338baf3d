from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.errors import MissingDataError
from airflow_sagemaker.operators.partition import PartitionOperator


def context(logical_date: datetime | None) -> Any:
    return {"dag_run": SimpleNamespace(run_id="manual__1", logical_date=logical_date)}


NIGHT = datetime(2026, 1, 2, tzinfo=UTC)


def test_the_day_is_that_of_the_logical_date(s3: Any) -> None:
    s3.put_object(Bucket="data", Key="digits/raw/dt=2026-01-02/data.csv", Body=b"a\n1\n")
    operator = PartitionOperator(task_id="partition", table="digits/raw/", day="")
    assert operator.execute(context(NIGHT)) == {
        "partition": "2026-01-02",
        "location": "s3://data/digits/raw/dt=2026-01-02/",
        "objects": 1,
        "size_bytes": 4,
    }


def test_a_run_may_name_another_day(s3: Any) -> None:
    s3.put_object(Bucket="data", Key="digits/raw/dt=2026-01-05/data.csv", Body=b"a\n1\n")
    operator = PartitionOperator(task_id="partition", table="digits/raw/", day="2026-01-05")
    assert operator.execute(context(NIGHT))["partition"] == "2026-01-05"


def test_a_missing_partition_names_its_prefix(s3: Any) -> None:
    s3.put_object(Bucket="data", Key="digits/raw/dt=2026-01-02/README.txt", Body=b"")
    with pytest.raises(MissingDataError, match="s3://data/digits/raw/dt=2026-01-02/: no CSV object"):
        PartitionOperator(task_id="partition", table="digits/raw/", day="").execute(context(NIGHT))


def test_a_run_without_any_day_says_what_to_give(moto_connection: str) -> None:
    with pytest.raises(MissingDataError, match="neither a logical date nor the parameter 'partition'"):
        PartitionOperator(task_id="partition", table="digits/raw/", day="").execute(context(None))
