"""What an operator does in a worker, and a server with an image for it; import the fixture to use it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker.claim import Claim
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import KINDS
from airflow_sagemaker.names import TaskIdentity
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.training import MetricDefinition, TrainingJob
from airflow_sagemaker.submission import STATE_KEY, Submission, Submitted
from airflow_sagemaker.task_record import Start, TaskRecord
from airflow_sagemaker.triggers.job import JobTrigger

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
DOCKERFILE = (
    "FROM python:3.11-slim\nCOPY src/ /opt/program/\nENV PATH=/opt/program:$PATH\nWORKDIR /opt/program\n"
)
TRAIN = """#!/usr/bin/env python
import itertools, json, os, pathlib, sys, time, urllib.error, urllib.request
base = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
given = json.loads((base / "input/config/hyperparameters.json").read_text())
def is_closed(gate):
    try:
        urllib.request.urlopen(f"{os.environ['AWS_ENDPOINT_URL']}/data/{gate}").close()
    except urllib.error.HTTPError:
        return True
    return False
waited = 0
for line in itertools.count():
    if "gate" in given and is_closed(given["gate"]):
        waited += 1
    elif line - waited == int(given.get("lines", 3)):
        break
    print(f"line {line} acc=0.{line}", flush=True)
    time.sleep(float(given.get("pause_s", 0)))
if "fail" in given:
    sys.exit(given["fail"])
(base / "model").mkdir(exist_ok=True)
(base / "model" / "weights").write_text("w")
"""
PROCESS = """#!/usr/bin/env python
import os, pathlib
folder = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "processing/output"
folder.mkdir(parents=True, exist_ok=True)
(folder / "rows.csv").write_text("1,2\\n3,4\\n5,6\\n")
"""
SERVE = """#!/usr/bin/env python
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
if os.environ.get("BROKEN"):
    raise SystemExit("broken on purpose")
class Sums(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        rows = self.rfile.read(int(self.headers["Content-Length"])).decode().split()
        self.answer("".join(f"{sum(map(float, row.split(',')))}\\n" for row in rows).encode())
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
address = "127.0.0.1" if "SAGEMAKER_BIND_TO_PORT" in os.environ else "0.0.0.0"
ThreadingHTTPServer((address, int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))), Sums).serve_forever()
"""

LIMIT_S = 300.0


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


@pytest.fixture
def local(start_server: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server with one image, and the Airflow connection to it."""
    source = tmp_path / "containers" / "sums" / "src"
    source.mkdir(parents=True)
    (source.parent / "Dockerfile").write_text(DOCKERFILE)
    for name, program in {"train": TRAIN, "serve": SERVE, "process": PROCESS}.items():
        (source / name).write_text(program)
        (source / name).chmod(0o755)
    running = start_server("--ping-timeout-s", "20", containers=tmp_path / "containers")
    running.client("s3").create_bucket(Bucket="data")
    connect(monkeypatch, running.url)
    return running


def connect(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    extra = {
        "region_name": "us-east-1",
        "endpoint_url": url,
        "sagemaker": {"bucket": "data", "role_arn": ROLE},
    }
    connection = {"conn_type": "aws", "login": "test", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps(connection))


class Task:
    """What the operator does in a worker, without Airflow around it."""

    def __init__(self, kind: str = "training_job", run_id: str | None = None) -> None:
        self.hook = SageMakerHook()
        self.jobs = JobHook(self.hook)
        self.kind = KINDS[kind]
        self.identity = TaskIdentity("d", run_id or uuid.uuid4().hex, "t")
        self.store = Store()
        self.lines: list[str] = []

    def submission(self, max_tries: int = 0) -> Submission:
        log = logging.getLogger("test")
        return Submission(
            api=self.jobs,
            kind=self.kind,
            identity=self.identity,
            start=Start(max_tries=max_tries),
            record=TaskRecord(self.store, STATE_KEY),
            claim=Claim(self.jobs, self.kind, self.identity.digest, log),
            announce=lambda _: None,
            log=log,
        )

    def submit(self, body: JsonObject, max_tries: int = 0) -> Submitted:
        return self.submission(max_tries).submit(body, {})

    def trigger(self, name: str, limit_s: float = LIMIT_S) -> JobTrigger:
        trigger = JobTrigger(
            kind=self.kind.operation,
            job_name=name,
            aws_conn_id="aws_sagemaker",
            region_name=None,
            poll_interval_s=0.2,
            deadline_s=time.time() + limit_s,
        )
        listen(trigger, self.lines)
        return trigger

    def wait(self, name: str, limit_s: float = LIMIT_S) -> JsonObject:
        return asyncio.run(fired(self.trigger(name, limit_s)))


def listen(trigger: Any, lines: list[str]) -> None:
    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.Logger("trigger")
    logger.addHandler(Keep())
    trigger._log = logger


async def fired(trigger: Any) -> JsonObject:
    (event,) = [event async for event in trigger.run()]
    payload: JsonObject = event.payload
    return payload


def training(**hyperparameters: Any) -> JsonObject:
    job = TrainingJob(
        image="sums",
        output="out/",
        hyperparameters=hyperparameters,
        metric_definitions=(MetricDefinition(name="acc", regex=r"acc=([0-9.]+)"),),
    )
    return job.to_request(SageMakerHook())
