"""Jobs that queue for instances and jobs that nobody waits for, against the local SageMaker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import TaskDeferred

from airflow_sagemaker.deployment import VARIABLE
from airflow_sagemaker.errors import QuotaTooSmallError
from airflow_sagemaker.hooks.quotas import QuotaHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.names import job_name
from airflow_sagemaker.operators.orphans import StopOrphansOperator
from airflow_sagemaker.operators.training import TrainingJobOperator
from airflow_sagemaker.pools_command import as_import
from airflow_sagemaker.specs.base import Resources
from airflow_sagemaker.specs.training import TrainingJob
from airflow_sagemaker.triggers.pause import PauseTrigger

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
TASKS, QUOTA = 20, 2
DEADLINE_S = 900.0
TRAIN = """#!/usr/bin/env python
import json, os, pathlib, time
base = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
time.sleep(float(json.loads((base / "input/config/hyperparameters.json").read_text()).get("seconds", 0)))
(base / "model").mkdir(exist_ok=True)
(base / "model" / "weights").write_text("w")
"""


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


class TaskInstance(SimpleNamespace):
    """A task at work, and what Airflow knows of others."""

    def get_task_states(self, **asked: Any) -> dict[str, dict[str, str]]:
        wanted = ((run_id, self.states.get(run_id)) for run_id in asked["run_ids"])
        return {run_id: {asked["task_ids"][0]: state} for run_id, state in wanted if state}


@pytest.fixture
def local(start_server: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    source = tmp_path / "containers" / "sleeper" / "src"
    source.mkdir(parents=True)
    (source.parent / "Dockerfile").write_text(
        "FROM python:3.11-slim\nCOPY src/ /opt/program/\nENV PATH=/opt/program:$PATH\n"
    )
    (source / "train").write_text(TRAIN)
    (source / "train").chmod(0o755)
    quota = f"ml.m5.large={QUOTA}"
    running = start_server("--stop-grace-s", "1", "--quota", quota, containers=tmp_path / "containers")
    running.client("s3").create_bucket(Bucket="data")
    extra = {
        "region_name": "us-east-1",
        "endpoint_url": running.url,
        "sagemaker": {"bucket": "data", "role_arn": ROLE},
    }
    connection = {"conn_type": "aws", "login": "test", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps(connection))
    be(monkeypatch, "our-airflow")
    return running


def be(monkeypatch: pytest.MonkeyPatch, deployment: str) -> None:
    monkeypatch.setenv(f"AIRFLOW_VAR_{VARIABLE.upper()}", deployment)


def operator(seconds: float = 0, count: int = 1, **arguments: Any) -> TrainingJobOperator:
    job = TrainingJob(
        image="sleeper",
        output="out/",
        hyperparameters={"seconds": seconds},
        resources=Resources(instance_count=count),
    )
    with DAG("backfill", schedule=None):
        return TrainingJobOperator(task_id="train", job=job, **arguments)


def context(task: Any, run_id: str, states: dict[str, str] | None = None) -> Any:
    ti = TaskInstance(
        dag_id="backfill", run_id=run_id, task_id="train", map_index=-1, try_number=1, max_tries=0, task=task,
        states=states or {},
    )  # fmt: skip
    return {"ti": ti, "run_id": run_id, "task_state_store": Store()}


def run(task: Any, given: Any, before: TaskDeferred | None = None) -> Any:
    """What a worker does with the task."""
    token = ExecutorSafeguard.tracker.set(task)
    try:
        if before is None:
            return task.execute(given)
        return task.resume_execution(before.method_name, dict(before.kwargs or {}), given)
    finally:
        ExecutorSafeguard.tracker.reset(token)


def deferred(task: Any, given: Any, before: TaskDeferred | None = None) -> TaskDeferred:
    """What the task waits for, after the worker that takes it up now."""
    with pytest.raises(TaskDeferred) as found:
        run(task, given, before)
    return found.value


def name_of(run_id: str) -> str:
    return job_name("backfill", run_id, "train")


def jobs(local: Any, **wanted: Any) -> list[str]:
    pages = local.client("sagemaker").get_paginator("list_training_jobs").paginate(**wanted)
    return sorted(job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"])


def test_a_backfill_queues_for_two_instances_without_using_up_a_try(local: Any) -> None:
    waiting: dict[str, tuple[Any, Any, TaskDeferred | None]] = {}
    for number in range(TASKS):
        task = operator(seconds=0.5)
        waiting[f"day-{number}"] = (task, context(task, f"day-{number}"), None)
    refusals, until_s = 0, time.monotonic() + DEADLINE_S
    while waiting and time.monotonic() < until_s:
        for run_id, (task, given, before) in list(waiting.items()):
            found = deferred(task, given, before)
            if isinstance(found.trigger, PauseTrigger):
                assert found.trigger.until_s > time.time()
                waiting[run_id] = (task, given, found)
                refusals += 1
            else:
                assert found.method_name == "execute_complete"
                del waiting[run_id]
        assert len(jobs(local, StatusEquals="InProgress")) <= QUOTA
    assert not waiting
    assert refusals
    assert jobs(local) == sorted(name_of(f"day-{number}") for number in range(TASKS))


def test_what_never_fits_fails_at_once(local: Any) -> None:
    task = operator(count=QUOTA + 1)
    with pytest.raises(QuotaTooSmallError, match="is 2 Instances"):
        run(task, context(task, "day-0"))
    assert jobs(local) == []


def test_pools_of_the_account_come_from_service_quotas(local: Any) -> None:
    pools = as_import({"ml.m5.large-training": None}, QuotaHook(SageMakerHook()).all)
    assert pools["ml.m5.large-training"]["slots"] == QUOTA


def test_orphans_are_stopped_and_jobs_of_others_are_not(local: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task = operator(seconds=600)
    deferred(task, context(task, "deleted"))
    be(monkeypatch, "their-airflow")
    deferred(operator(seconds=600), context(task, "of-others"))
    be(monkeypatch, "our-airflow")

    keeper = StopOrphansOperator(task_id="stop_orphans", grace_s=0)
    states = {"of-others": "failed"}
    suspected = deferred(keeper, context(keeper, "now", states))
    result = run(keeper, context(keeper, "now", states), suspected)
    assert [each["job_name"] for each in result["stopped"]] == [name_of("deleted")]
    assert "deleted with its run" in result["stopped"][0]["why"]

    until_s = time.monotonic() + DEADLINE_S
    while jobs(local, StatusEquals="InProgress") != [name_of("of-others")] or jobs(
        local, StatusEquals="Stopping"
    ):
        assert time.monotonic() < until_s
        time.sleep(0.2)
    assert jobs(local, StatusEquals="Stopped") == [name_of("deleted")]
    again = keeper.look_again(context(keeper, "later", states), suspects=[name_of("deleted")])
    assert again["stopped"] == []

    running = deferred(operator(seconds=600), context(task, "at-work"))
    assert running.method_name == "execute_complete"
    found = run(keeper, context(keeper, "last", {"at-work": "deferred"}))
    assert (found["jobs"], found["orphans"]) == (2, [])
    for run_id in ("of-others", "at-work"):
        local.client("sagemaker").stop_training_job(TrainingJobName=name_of(run_id))
