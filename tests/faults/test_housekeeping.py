"""A real Airflow: a backfill at a quota uses no try, and a job whose run was deleted is stopped once."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker.names import job_name
from demo.runs import RunRecord
from demo.stack import ACCOUNT, BUCKET, REGION, Stack, StackSettings
from tests.running_stack import House

DEADLINE_S = 600
QUOTA = 1
DAYS = 3
DOCKERFILE = "FROM python:3.11-slim\nCOPY src/ /opt/program/\nENV PATH=/opt/program:$PATH\n"
TRAIN = """#!/usr/bin/env python
import json, os, pathlib, time
base = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
time.sleep(float(json.loads((base / "input/config/hyperparameters.json").read_text())["seconds"]))
(base / "model").mkdir(exist_ok=True)
(base / "model" / "weights").write_text("w")
"""
DAGS = """
from pathlib import Path

from airflow.sdk import DAG
from airflow_sagemaker.operators.orphans import StopOrphansOperator
from airflow_sagemaker.operators.training import TrainingJobOperator
from airflow_sagemaker.specs.base import Resources
from airflow_sagemaker.specs.quotas import load_quotas
from airflow_sagemaker.specs.training import TrainingJob

POOLS = load_quotas(Path(__file__).parent.parent / "include").pools()


def training(instance_type):
    job = TrainingJob(
        image="sleeper",
        output="out/",
        hyperparameters={"seconds": "{{ dag_run.conf.get('seconds', 3) }}"},
        resources=Resources(instance_type=instance_type),
    )
    return TrainingJobOperator(task_id="train", job=job, pools=POOLS, retries=2)


with DAG("plain", schedule=None):
    training("ml.m5.large")

with DAG("pooled", schedule=None):
    training("ml.m5.xlarge")

with DAG("housekeeping", schedule=None):
    StopOrphansOperator(task_id="stop_orphans", grace_s=1)
"""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="housekeeping-"))
    source = folder / "containers" / "sleeper" / "src"
    source.mkdir(parents=True)
    (source.parent / "Dockerfile").write_text(DOCKERFILE)
    (source / "train").write_text(TRAIN)
    (source / "train").chmod(0o755)
    for name, text in {"dags/dags.py": DAGS, "include/quotas.yaml": "training: {ml.m5.xlarge: 1}\n"}.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(text)
    stack = Stack(
        StackSettings(
            home=folder / "home",
            sagemaker_port=0,
            airflow_port=0,
            containers_dir=folder / "containers",
            dags_dir=folder / "dags",
            sagemaker_arguments=("--stop-grace-s", "1", "--quota", f"ml.m5.large={QUOTA}"),
        )
    )
    try:
        stack.start()
        running = House(stack)
        running.s3.create_bucket(Bucket=BUCKET)
        stack.wait_for_dags({"plain", "pooled", "housekeeping"})
        for dag_id in running.api.dag_ids():
            running.api.unpause(dag_id)
        yield running
    finally:
        stack.stop()
    shutil.rmtree(folder, ignore_errors=True)


def job_of(run_id: str, dag_id: str = "plain") -> str:
    return job_name(dag_id, run_id, "train")


def status(house: House, name: str) -> str:
    found = house.sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
    return str(found[0]["TrainingJobStatus"]) if found else "none"


def until(house: House, name: str, *wanted: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while (now := status(house, name)) not in wanted:
        house.stack.check()
        assert time.monotonic() < deadline, f"{name} is {now}"
        time.sleep(0.5)


def until_deferred(house: House, runs: Iterable[RunRecord]) -> None:
    """Until the task of each run has been seen to wait."""
    missing = {run.run_id: run for run in runs}
    deadline = time.monotonic() + DEADLINE_S
    while missing:
        for run in list(missing.values()):
            run.refresh(house.api)
            assert not run.done, house.log(run, "train")
            if any(task.state == "deferred" for task in run.tasks.values()):
                del missing[run.run_id]
        house.stack.check()
        assert time.monotonic() < deadline, f"never deferred: {sorted(missing)}"
        time.sleep(0.5)


@contextmanager
def no_instance_left(house: House) -> Iterator[None]:
    """Somebody else's job uses up the quota meanwhile, however long the tasks take to ask for it."""
    name = "somebody-elses"
    house.sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/sagemaker",
        AlgorithmSpecification={
            "TrainingImage": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/sleeper:latest",
            "TrainingInputMode": "File",
        },
        HyperParameters={"seconds": "3000"},
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out/"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": QUOTA, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
    )
    until(house, name, "InProgress")
    yield
    house.sagemaker.stop_training_job(TrainingJobName=name)
    until(house, name, "Stopped")


def test_the_pools_of_quotas_are_there(house: House) -> None:
    """A task whose pool is missing would never start."""
    pools = {pool["name"]: pool for pool in house.api.get("/pools")["pools"]}
    assert pools["ml.m5.xlarge-training"]["slots"] == 1
    assert pools["ml.m5.xlarge-training"]["include_deferred"]


@pytest.mark.parametrize("dag_id", ["plain", "pooled"])
def test_a_backfill_waits_for_instances_without_using_up_a_try(house: House, dag_id: str) -> None:
    with no_instance_left(house) if dag_id == "plain" else nullcontext():
        runs = [RunRecord(dag_id, house.api.trigger(dag_id)) for _ in range(DAYS)]
        if dag_id == "plain":
            until_deferred(house, runs)
    ended = [house.follow(run, DEADLINE_S) for run in runs]
    for run in ended:
        task: Any = run.tasks[("train", -1)]
        assert task.state == "success", house.log(run, "train")
    if dag_id == "plain":
        # Airflow itself may fail a resumed task for a late event of its executor: one task has to do.
        first_tries = [
            "\n".join(house.api.log_lines(dag_id, run.run_id, "train", try_number=1)) for run in ended
        ]
        assert any("this is no new try" in log and "Created training job" in log for log in first_tries)
    jobs = house.sagemaker.list_training_jobs(NameContains=f"{dag_id}-train")["TrainingJobSummaries"]
    assert sorted(job["TrainingJobName"] for job in jobs) == sorted(
        job_of(run.run_id, dag_id) for run in runs
    )


def test_a_job_whose_run_was_deleted_is_stopped_once(house: House) -> None:
    run_id = house.api.trigger("plain", conf={"seconds": 3000})
    name = job_of(run_id)
    until(house, name, "InProgress")
    # A worker that has yet to defer would stop the job by itself.
    until_deferred(house, [RunRecord("plain", run_id)])
    wanted = house.run("housekeeping", timeout_s=DEADLINE_S)
    assert house.results(wanted)["stop_orphans"] == {"jobs": 1, "orphans": [], "stopped": [], "doubtful": []}

    house.stack.kill_service("triggerer")  # nobody is there to stop the job at once
    house.api.patch(f"/dags/plain/dagRuns/{run_id}", {"state": "failed"})
    house.api.delete(f"/dags/plain/dagRuns/{run_id}")
    house.stack.start_service("triggerer")
    house.stack.wait_until_healthy()
    assert status(house, name) == "InProgress"

    found = house.results(house.run("housekeeping", timeout_s=DEADLINE_S))["stop_orphans"]
    why = f"task train of plain, run {run_id} was deleted with its run"
    assert found["stopped"] == [{"kind": "training_job", "job_name": name, "why": why}]
    until(house, name, "Stopped")
    again = house.results(house.run("housekeeping", timeout_s=DEADLINE_S))["stop_orphans"]
    assert again == {"jobs": 0, "orphans": [], "stopped": [], "doubtful": []}
