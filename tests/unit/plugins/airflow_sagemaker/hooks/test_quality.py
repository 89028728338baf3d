from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import pandas
import pytest

from airflow_sagemaker.hooks.quality import load_suite, validate

EXPECTATIONS = Path(__file__).parents[5] / "include" / "expectations"
NIGHT = datetime(2026, 1, 2, tzinfo=UTC)


def row_name(index: int) -> str:
    return f"row {index}"


@pytest.mark.parametrize("path", sorted(EXPECTATIONS.glob("*.json")), ids=lambda path: path.stem)
def test_every_suite_of_the_repository_can_be_used(path: Path) -> None:
    suite = load_suite(path)
    assert suite.name == path.stem
    assert len(suite.expectations) == len(json.loads(path.read_text())["expectations"])


def test_validation_talks_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("great-expectations opens a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    frame = pandas.DataFrame({"probability": [0.1, 0.9]})
    suite = load_suite(EXPECTATIONS / "bank_marketing_predictions.json")
    assert validate(suite, frame, NIGHT, row_name).failures == ()


def test_columns_that_differ_are_shown_side_by_side() -> None:
    frame = pandas.DataFrame({"probabilty": [0.1, 0.9]})
    suite = load_suite(EXPECTATIONS / "bank_marketing_predictions.json")
    verdict = validate(suite, frame, NIGHT, row_name)
    assert (
        "expect_table_columns_to_match_ordered_list(column_list=['probability']): 1 columns differ, "
        "'probabilty' instead of 'probability' at 0"
    ) in verdict.failures


def test_the_result_holds_neither_clock_nor_chance() -> None:
    frame = pandas.DataFrame({"probability": [0.1, 1.9]})
    suites = [load_suite(EXPECTATIONS / "bank_marketing_predictions.json") for _ in range(2)]
    one, other = (validate(suite, frame, NIGHT, row_name) for suite in suites)
    assert one == other
    assert b"2026-01-02" in one.result
