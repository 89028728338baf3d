"""Real signals at every moment of making a job: it is stopped once, or never made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.conftest import LocalServer

ROOT = Path(__file__).parents[2]
DEADLINE_S = 300.0
STOPS = {"operation": "StopTrainingJob", "latency_s": 0.001}
"""A fault that does nothing but count."""
SLOW_CREATE = {"operation": "CreateTrainingJob", "latency_s": 10, "count": 1}
"""So long there is, on the slowest machine, to see that the call is under way and to send the signal."""
ANSWER_LOST = {"operation": "CreateTrainingJob", "drop": "after", "count": 1}
SLOW_REPEAT = SLOW_CREATE
"""Of the call that botocore makes when the answer to the first was lost: rules count what reaches them."""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    images = Path(__file__).parent / "images"
    running = LocalServer(tmp_path_factory.mktemp("kill") / "data", images).start()
    running.client("s3").create_bucket(Bucket="data")
    yield running
    running.stop()


@pytest.fixture
def faults(local: LocalServer) -> Iterator[Callable[..., None]]:
    def put(*rules: dict[str, Any]) -> None:
        answer = httpx.put(f"{local.url}/_local/faults", json={"rules": list(rules)})
        assert answer.status_code == 200, answer.text

    yield put
    httpx.delete(f"{local.url}/_local/faults")


class Worker:
    """The probe in a process of its own."""

    def __init__(self, local: LocalServer, window: str) -> None:
        self.local, self.run_id = local, uuid.uuid4().hex
        settings = {"bucket": "data", "role_arn": "arn:aws:iam::123456789012:role/sagemaker"}
        extra = {"region_name": "us-east-1", "endpoint_url": local.url, "sagemaker": settings}
        connection = {"conn_type": "aws", "login": "test", "password": "secret", "extra": extra}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_probe.py")), window, self.run_id],
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "AIRFLOW_CONN_AWS_SAGEMAKER": json.dumps(connection),
                "PYTHONPATH": str(ROOT / "plugins"),
            },
        )

    def wait_until_it_is_there(self) -> None:
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline()) and line != "now\n":
            pass
        assert line == "now\n"

    def ended(self) -> str:
        said, _ = self.process.communicate(timeout=DEADLINE_S)
        return said.splitlines()[-1]

    def jobs(self) -> list[str]:
        sagemaker = self.local.client("sagemaker")
        found = sagemaker.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
        arns = {job["TrainingJobArn"]: job["TrainingJobStatus"] for job in found}
        mine = {"Key": "airflow:run_id", "Value": self.run_id}
        return [
            status for arn, status in arns.items() if mine in sagemaker.list_tags(ResourceArn=arn)["Tags"]
        ]


def hits(local: LocalServer, rule: int) -> int:
    # httpx would read all certificates for each look, in the time that there is for the signal.
    with urllib.request.urlopen(f"{local.url}/_local/faults") as answer:  # noqa: S310 - of http
        found: int = json.load(answer)["rules"][rule]["hits"]
    return found


def until_hit(local: LocalServer, rule: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not hits(local, rule):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_kill_before_create_makes_nothing(local, faults):
    faults(STOPS)
    worker = Worker(local, "before create")
    worker.wait_until_it_is_there()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == "stopped"
    assert worker.jobs() == []
    assert hits(local, 0) == 0


@pytest.mark.parametrize(
    ("rules", "awaited"),
    [([SLOW_CREATE], 1), ([ANSWER_LOST, SLOW_REPEAT], 2)],
    ids=["not accepted yet", "accepted, and its answer lost"],
)
def test_a_kill_while_create_is_called_stops_the_job_once(local, faults, rules, awaited):
    faults(STOPS, *rules)
    worker = Worker(local, "during create")
    until_hit(local, awaited)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == "stopped"
    assert worker.jobs() in (["Stopping"], ["Stopped"])
    assert hits(local, 0) == 1


def test_a_kill_before_the_task_defers_stops_the_job_once(local, faults):
    faults(STOPS)
    worker = Worker(local, "before defer")
    worker.wait_until_it_is_there()
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    assert worker.jobs() in (["Stopping"], ["Stopped"])
    assert hits(local, 0) == 1


def test_an_execution_timeout_while_create_is_called_stops_the_job_that_came_of_it(local, faults):
    faults(STOPS, ANSWER_LOST, SLOW_REPEAT)
    worker = Worker(local, "during create")
    until_hit(local, 2)
    worker.process.send_signal(signal.SIGALRM)
    assert worker.ended() == "timed out"
    assert worker.jobs() in (["Stopping"], ["Stopped"])
    assert hits(local, 0) == 1
