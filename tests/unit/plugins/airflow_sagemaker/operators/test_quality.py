"""The gate, with the real great-expectations against tables in S3."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.errors import BadSuiteError, BadTableError, ExpectationsNotMetError, MissingDataError
from airflow_sagemaker.operators.quality import DataQualityGateOperator

IN_SET = "expect_column_values_to_be_in_set"
SUITE = {
    "name": "people",
    "meta": {"great_expectations_version": "1.24.1"},
    "expectations": [
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}, "meta": {}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "age"}, "meta": {}},
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "age", "min_value": 0, "max_value": 120},
            "meta": {},
        },
        {
            "type": IN_SET,
            "kwargs": {"column": "city", "value_set": ["Oslo", "Rome"]},
            "severity": "warning",
            "meta": {},
        },
    ],
}
CONTEXT: Any = {"dag_run": SimpleNamespace(logical_date=datetime(2026, 1, 2, tzinfo=UTC), run_after=None)}


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    (tmp_path / "people.json").write_text(json.dumps(SUITE))
    return tmp_path


def gate(suites: Path, **kwargs: Any) -> DataQualityGateOperator:
    given: dict[str, Any] = {
        "task_id": "gate",
        "suite": "people",
        "suites": suites,
        "table": "raw/",
        "results": "quality/",
    }
    return DataQualityGateOperator(**(given | kwargs))


def put(s3: Any, key: str, text: str) -> None:
    s3.put_object(Bucket="data", Key=key, Body=text.encode())


def get(s3: Any, key: str) -> bytes:
    body: bytes = s3.get_object(Bucket="data", Key=key)["Body"].read()
    return body


def test_good_data_goes_on_and_leaves_result_and_data_docs(s3: Any, suites: Path) -> None:
    put(s3, "raw/a.csv", "age,city\n41,Oslo\n7,Rome\n")
    assert gate(suites).execute(CONTEXT) == {"rows": 2, "expectations": 4, "results": "s3://data/quality/"}
    result = json.loads(get(s3, "quality/people.json"))
    assert result["success"] is True
    assert result["statistics"]["evaluated_expectations"] == 4
    page = get(s3, "quality/people.html").decode()
    assert "values must be greater than or equal to" in page
    assert s3.head_object(Bucket="data", Key="quality/people.html")["ContentType"] == "text/html"


def test_the_error_names_column_expectation_count_and_examples(s3: Any, suites: Path) -> None:
    put(s3, "raw/dt=2026-01-01/data.csv", "age,city\n41,Oslo\n7,Rome\n")
    put(s3, "raw/dt=2026-01-02/data.csv", "age,city\n30,Rome\n300,Oslo\n,Oslo\n")
    with pytest.raises(ExpectationsNotMetError) as raised:
        gate(suites, first_partition="2026-01-01", last_partition="2026-01-02").execute(CONTEXT)
    assert str(raised.value) == (
        "Suite 'people' on s3://data/raw/: 2 of 4 expectations do not hold:\n"
        "- column 'age': expect_column_values_to_be_between(min_value=0.0, max_value=120.0): "
        "1 of 5 rows (25 %) break it, for example 300.0 (dt=2026-01-02/data.csv line 3)\n"
        "- column 'age': expect_column_values_to_not_be_null(): "
        "1 of 5 rows (20 %) break it, for example None (dt=2026-01-02/data.csv line 4). "
        "Correct the data or the suite, then clear the task; see s3://data/quality/"
    )
    assert json.loads(get(s3, "quality/people.json"))["success"] is False
    assert b"300" in get(s3, "quality/people.html")


def test_text_among_numbers_is_named(s3: Any, suites: Path) -> None:
    put(s3, "raw/a.csv", "age,city\n41,Oslo\nold,Rome\n")
    with pytest.raises(ExpectationsNotMetError, match=r"1 of 2 rows are not numbers.* 'old' .*line 3"):
        gate(suites).execute(CONTEXT)


def test_one_stray_text_spoils_its_own_row_only(s3: Any, suites: Path) -> None:
    suite = {
        "name": "people",
        "expectations": [{"type": IN_SET, "kwargs": {"column": "age", "value_set": [7, 41]}}],
    }
    (suites / "people.json").write_text(json.dumps(suite))
    put(s3, "raw/a.csv", "age,city\n41,Oslo\nold,Rome\n7,Rome\n,Rome\n")
    with pytest.raises(
        ExpectationsNotMetError, match=r"1 of 4 rows .* 'old' \(raw/a\.csv line 3\)\. Correct"
    ):
        gate(suites).execute(CONTEXT)


def test_a_missing_column_is_named(s3: Any, suites: Path) -> None:
    put(s3, "raw/a.csv", "years,city\n41,Oslo\n")
    with pytest.raises(ExpectationsNotMetError, match=r'The column "age" in BatchData does not exist'):
        gate(suites).execute(CONTEXT)


def test_a_warning_stops_nothing(s3: Any, suites: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(s3, "raw/a.csv", "age,city\n41,Paris\n")
    assert gate(suites).execute(CONTEXT)["rows"] == 1
    assert json.loads(get(s3, "quality/people.json"))["success"] is False


def test_a_table_without_header_takes_its_names_from_the_task_before(s3: Any, suites: Path) -> None:
    put(s3, "raw/a.csv", "41,Oslo\n-1,Rome\n")
    put(s3, "columns.json", '{"label": "age", "features": ["city"]}')
    with pytest.raises(ExpectationsNotMetError, match=r"for example -1 \(raw/a\.csv line 2\)"):
        gate(suites, columns_from="columns.json").execute(CONTEXT)


def test_a_single_object_is_a_table_too(s3: Any, suites: Path) -> None:
    put(s3, "raw/a.csv", "41,Oslo\n")
    put(s3, "raw/a.csv.old", "-1,Oslo\n")
    assert gate(suites, table="raw/a.csv", columns=("age", "city")).execute(CONTEXT)["rows"] == 1


def test_a_missing_day_stops_the_run_and_is_named(s3: Any, suites: Path) -> None:
    put(s3, "raw/dt=2026-01-01/data.csv", "age,city\n41,Oslo\n")
    put(s3, "raw/dt=2026-01-03/data.csv", "age,city\n41,Oslo\n")
    bounds = {"first_partition": "2026-01-01", "last_partition": "2026-01-03"}
    with pytest.raises(MissingDataError) as raised:
        gate(suites, **bounds).execute(CONTEXT)
    assert str(raised.value) == (
        "Table s3://data/raw/: 1 of 3 partitions from 2026-01-01 to 2026-01-03 are missing: dt=2026-01-02. "
        "Land them, or give the range that is there"
    )
    assert gate(suites, gaps_allowed=True, **bounds).execute(CONTEXT)["rows"] == 2


@pytest.mark.parametrize(
    ("bounds", "rows"),
    [
        ({"first_partition": "2026-01-02"}, 2),
        ({"first_partition": "2026-01-02", "last_partition": "None"}, 2),
        ({"first_partition": "", "last_partition": "2026-01-02"}, 2),
        ({"first_partition": "2026-01-02", "last_partition": "2026-01-02"}, 1),
        ({"first_partition": "", "last_partition": "None"}, 3),
    ],
)
def test_a_range_without_an_end_reads_up_to_what_is_there(
    s3: Any, suites: Path, bounds: dict[str, str], rows: int
) -> None:
    for day in (1, 2, 3):
        put(s3, f"raw/dt=2026-01-0{day}/data.csv", "age,city\n41,Oslo\n")
    assert gate(suites, **bounds).execute(CONTEXT)["rows"] == rows


@pytest.mark.parametrize(
    "bounds",
    [{"first_partition": "2026-01-04"}, {"first_partition": "2026-01-02", "last_partition": "2026-01-01"}],
    ids=["after all that is there", "backwards"],
)
def test_a_range_without_a_day_never_passes(s3: Any, suites: Path, bounds: dict[str, str]) -> None:
    put(s3, "raw/dt=2026-01-01/data.csv", "age,city\n41,Oslo\n")
    with pytest.raises(MissingDataError, match="no day lies between"):
        gate(suites, **bounds).execute(CONTEXT)


def test_no_data_at_all_never_passes(s3: Any, suites: Path) -> None:
    with pytest.raises(MissingDataError, match="there is no CSV object"):
        gate(suites).execute(CONTEXT)
    bounds = {"first_partition": "2026-01-01", "last_partition": "2026-01-03"}
    with pytest.raises(MissingDataError, match="it has no partition dt="):
        gate(suites, gaps_allowed=True, **bounds).execute(CONTEXT)


@pytest.mark.parametrize("text", ["", 'age,city\n"41,Oslo\n'])
def test_what_is_no_csv_is_named(s3: Any, suites: Path, text: str) -> None:
    put(s3, "raw/a.csv", text)
    with pytest.raises(BadTableError, match=r"Table s3://data/raw/a\.csv: it is not a readable CSV"):
        gate(suites).execute(CONTEXT)


def test_a_header_without_rows_breaks_the_row_count(s3: Any, suites: Path) -> None:
    put(s3, "raw/a.csv", "age,city\n")
    with pytest.raises(ExpectationsNotMetError, match=r"row_count_to_be_between\(min_value=1\): found 0"):
        gate(suites).execute(CONTEXT)


def test_a_big_table_is_read_in_batches(s3: Any, suites: Path) -> None:
    rows = "41,Oslo\n" * 100_000
    for name in ("a", "b", "c"):
        put(s3, f"raw/{name}.csv", f"age,city\n{rows}")
    put(s3, "raw/c.csv", f"age,city\n{rows}-1,Oslo\n")
    with pytest.raises(ExpectationsNotMetError, match=r"raw/c\.csv line 100002"):
        gate(suites, max_batch_mb=1).execute(CONTEXT)
    results = [json.loads(get(s3, f"quality/people-00{number}.json"))["success"] for number in (1, 2, 3)]
    assert results == [True, True, False]


def test_the_same_data_gives_the_same_bytes(s3: Any, suites: Path) -> None:
    put(s3, "raw/a.csv", "age,city\n300,Paris\n")
    seen = []
    for _ in range(2):
        with pytest.raises(ExpectationsNotMetError):
            gate(suites).execute(CONTEXT)
        seen.append((get(s3, "quality/people.json"), get(s3, "quality/people.html")))
    assert seen[0] == seen[1]


def test_an_unknown_suite_names_those_there_are(s3: Any, suites: Path) -> None:
    with pytest.raises(BadSuiteError, match=r"Suite 'animals': there is no .* use one of: people"):
        gate(suites, suite="animals").execute(CONTEXT)


def test_an_unknown_expectation_is_named(s3: Any, suites: Path) -> None:
    suite = SUITE | {"expectations": [{"type": "expect_wonders", "kwargs": {}, "meta": {}}]}
    (suites / "people.json").write_text(json.dumps(suite))
    with pytest.raises(BadSuiteError, match=r"is not a suite \(.*expect_wonders not found"):
        gate(suites).execute(CONTEXT)
