from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.names import (
    MAX_NAME_LENGTH,
    TaskIdentity,
    bounded,
    content_name,
    job_name,
    partition,
    run_key,
)

AWS_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
ids = st.text(min_size=1, max_size=250)


@given(dag_id=ids, run_id=ids, task_id=ids, map_index=st.integers(-1, 10**6), attempt=st.integers(0, 999))
def test_every_job_name_is_one_that_aws_accepts(
    dag_id: str, run_id: str, task_id: str, map_index: int, attempt: int
) -> None:
    for limit in (32, MAX_NAME_LENGTH):
        name = job_name(dag_id, run_id, task_id, map_index, attempt, limit)
        assert AWS_NAME.fullmatch(name)
        assert len(name) <= limit


@given(left=st.tuples(ids, ids, ids), right=st.tuples(ids, ids, ids))
def test_other_tasks_have_other_names(left: tuple[str, str, str], right: tuple[str, str, str]) -> None:
    assert (job_name(*left) == job_name(*right)) == (left == right)


@given(ids, st.integers(0, 99), st.integers(0, 99))
def test_attempts_and_map_indexes_have_names_of_their_own(run_id: str, one: int, other: int) -> None:
    assert (job_name("d", run_id, "t", attempt=one) == job_name("d", run_id, "t", attempt=other)) == (
        one == other
    )
    mapped = {job_name("d", run_id, "t", index) for index in (-1, one, one + 1)}
    assert len(mapped) == 3


def test_ids_cannot_run_into_each_other() -> None:
    assert TaskIdentity("a", "bc", "d").digest != TaskIdentity("ab", "c", "d").digest


def test_a_name_is_readable_and_the_same_on_every_machine() -> None:
    name = job_name("digits__model_build", "manual__2026-11-20T15:25:17+00:00", "train")
    assert name == "digits-model-build-train-859849ad96"
    assert (
        job_name("digits__model_build", "manual__2026-11-20T15:25:17+00:00", "train", attempt=2)
        == f"{name}-r2"
    )


@given(ids)
def test_a_run_key_is_short_and_fit_for_a_prefix(run_id: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", run_key(run_id))
    assert len(run_key(run_id)) <= 40


@given(ids, ids)
def test_other_runs_have_other_keys(one: str, other: str) -> None:
    assert (run_key(one) == run_key(other)) == (one == other)


def test_midnight_is_left_out_of_a_run_key_but_not_of_its_hash() -> None:
    key = run_key("scheduled__2026-01-01T00:00:00+00:00")
    assert key.startswith("scheduled-2026-01-01-")
    assert key != run_key("scheduled__2026-01-01")


def test_only_the_stem_gives_way() -> None:
    assert bounded("a" * 80, "1234567890").endswith("a-1234567890")
    assert bounded("a-b", "1234567890", limit=12) == "a-1234567890"
    assert bounded("ab", "1234567890", limit=10) == "1234567890"


def test_content_names_follow_the_content() -> None:
    assert content_name("echo-1", "x") == content_name("echo-1", "x") != content_name("echo-1", "y")


@pytest.mark.parametrize("hour", [0, 23])
def test_a_partition_is_the_day_of_the_logical_date(hour: int) -> None:
    assert partition(datetime(2026, 3, 9, hour, tzinfo=UTC)) == "2026-03-09"
