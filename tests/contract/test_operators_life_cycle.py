"""The life cycle of the plugin's jobs against the local SageMaker: each checks the other's reading of AWS."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from airflow.sdk.bases.xcom import BaseXCom

from airflow_sagemaker.claim import Claim
from airflow_sagemaker.errors import CapacityError, ForeignResourceError, JobFailedError
from airflow_sagemaker.hooks.endpoints import EndpointHook
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.hooks.models import ModelHook
from airflow_sagemaker.hooks.object_storage import ObjectStorageHook
from airflow_sagemaker.hooks.registry import RegistryHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import KINDS, TRAINING
from airflow_sagemaker.names import TaskIdentity
from airflow_sagemaker.operators.tuning import TuningJobOperator
from airflow_sagemaker.policies import failure
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.endpoint import EndpointRollout
from airflow_sagemaker.specs.model import ModelPackage
from airflow_sagemaker.specs.processing import ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.training import MetricDefinition, TrainingJob
from airflow_sagemaker.specs.transform import TransformJob
from airflow_sagemaker.specs.tuning import CategoricalParameterRange, TuningJob
from airflow_sagemaker.submission import STATE_KEY, Submission, Submitted
from airflow_sagemaker.task_record import Start, TaskRecord
from airflow_sagemaker.triggers.endpoint import EndpointTrigger
from airflow_sagemaker.triggers.job import JobTrigger
from airflow_sagemaker.triggers.worker_wait import wait_on_worker

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


LOG = logging.getLogger("test")
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


@contextmanager
def kept(port: int) -> Iterator[None]:
    """Nobody is given a port for which no server listens now; one that sets SO_REUSEADDR can have it."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", port))
        yield


def told(task: Task) -> list[str]:
    return [line for line in task.lines if "] line" in line]


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


def test_a_job_is_made_once_found_again_and_told_line_by_line(local: Any) -> None:
    task = Task()
    first = task.submit(training(lines=2500))
    assert task.submit(training(lines=2500)).name == first.name
    ended = task.wait(first.name)
    assert ended["end"] == "completed"
    assert ended["results"]["model_uri"] == f"s3://data/out/{first.name}/output/model.tar.gz"
    assert set(ended["results"]["metrics"]) == {"acc"}
    told = [line for line in task.lines if line.startswith("[algo-1] line")]
    assert told == [f"[algo-1] line {number} acc=0.{number}" for number in range(2500)]
    again = task.submit(training(lines=2500))
    assert again.adopted
    assert again.completed is not None
    assert len(task.hook.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]) == 1


def test_a_failed_job_says_why_and_the_next_try_has_its_own_name(local: Any) -> None:
    task = Task()
    first = task.submit(training(fail="the learning rate is negative"))
    ended = task.wait(first.name)
    assert ended["end"] == "failed"
    assert type(failure("x", ended["reason"])).__name__ == "JobFailedError"
    assert any("the learning rate is negative" in line for line in task.lines)
    assert task.submit(training(fail="the learning rate is negative")).name == f"{first.name}-r1"


def test_a_kill_stops_the_job_and_a_clear_runs_it_anew(local: Any) -> None:
    task = Task()
    first = task.submit(training(pause_s=60))
    asyncio.run(task.trigger(first.name).on_kill())
    assert task.wait(first.name)["end"] == "stopped"
    asyncio.run(task.trigger(first.name).on_kill())
    second = task.submit(training(pause_s=60), max_tries=1)
    assert second.name == f"{first.name}-r1"
    third = task.submit(training(pause_s=60), max_tries=2)
    assert third.name == f"{first.name}-r2"
    assert task.wait(second.name)["end"] == "stopped"
    task.jobs.stop(TRAINING, third.name)


def test_a_wait_that_begins_on_the_worker_ends_there_or_goes_on_in_the_triggerer(
    local: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line once, and in order, whoever wrote it."""
    stored: dict[str, Any] = {}

    async def keep(key: str, value: Any, **_: Any) -> None:
        stored[key] = value

    async def give(*, key: str, **_: Any) -> Any:
        return stored.get(key)

    monkeypatch.setattr(BaseXCom, "aset", keep)
    monkeypatch.setattr(BaseXCom, "aget_one", give)
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=None, try_number=1)
    task = Task()
    short = task.submit(training(lines=4, pause_s=0.2)).name
    event = wait_on_worker(task.trigger(short), ti, LIMIT_S)
    assert event is not None
    assert event["end"] == "completed"
    assert told(task) == [f"[algo-1] line {number} acc=0.{number}" for number in range(4)]
    assert set(stored) == {"progress"}

    task = Task()
    # It prints until the gate is there, and three lines more.
    long = task.submit(training(gate="gate", pause_s=0.1)).name
    for limit_s in (3, 15, 75):  # a slow machine has the first lines late
        task.lines.clear()
        assert wait_on_worker(task.trigger(long), ti, limit_s) is None
        if told_here := told(task):
            break
    assert told_here
    assert stored["log_cursor"]["lines"] == len(told_here)
    local.client("s3").put_object(Bucket="data", Key="gate")
    trigger = task.trigger(long)
    trigger.task_instance = cast(Any, ti)
    assert asyncio.run(fired(trigger))["end"] == "completed"
    paginator = local.client("logs").get_paginator("filter_log_events")
    pages = paginator.paginate(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{long}/")
    printed = [event["message"] for page in pages for event in page["events"]]
    count = sum(line.startswith("line ") for line in printed)
    assert len(told_here) < count
    assert told(task) == [f"[algo-1] line {number} acc=0.{number}" for number in range(count)]


def test_the_deadline_stops_the_job(local: Any) -> None:
    task = Task()
    name = task.submit(training(pause_s=60)).name
    assert task.wait(name, limit_s=-1)["end"] == "timed_out"
    described = task.jobs.describe(TRAINING, name)
    assert described is not None
    assert not TRAINING.is_alive(described)


def test_a_job_of_our_name_that_somebody_else_made_is_refused(local: Any) -> None:
    task = Task()
    mine = task.submission()
    local.client("sagemaker").create_training_job(TrainingJobName=mine.name(0), **training())
    with pytest.raises(ForeignResourceError, match=mine.name(0)):
        task.submit(training())


def test_waiting_outlives_the_server(local: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Killed at once and started again on its directory and port, the server says how the job ended."""
    task = Task()
    name = task.submit(training(pause_s=1, lines=30)).name

    def looked_again() -> bool:
        return any("Looking again" in line for line in [*task.lines, *caplog.messages])

    async def drill() -> JsonObject:
        waiting = asyncio.create_task(fired(task.trigger(name)))
        async with asyncio.timeout(LIMIT_S):
            while not told(task):  # noqa: ASYNC110 - the log tells nobody
                await asyncio.sleep(0.1)
            port = local.url.rsplit(":", 1)[1]
            await asyncio.to_thread(local.kill)
            with kept(int(port)):
                while not looked_again():  # noqa: ASYNC110 - nor does this one
                    await asyncio.sleep(0.1)
                command = local._command
                command[command.index("--port") + 1] = port
                await asyncio.to_thread(local.start)
        return await waiting

    ended = asyncio.run(drill())
    assert ended["end"] in {"failed", "completed"}
    if ended["end"] == "failed":
        assert type(failure("x", ended["reason"])).__name__ == "ServiceFaultError"


def test_a_tuning_job_gives_its_best_model(local: Any) -> None:
    task = Task("hyper_parameter_tuning_job")
    trained = TrainingJob(
        image="sums",
        output="out/",
        hyperparameters={"pause_s": 0},
        metric_definitions=(MetricDefinition(name="acc", regex=r"acc=([0-9.]+)"),),
    )
    lines = CategoricalParameterRange(type="categorical", values=(2, 5, 3))
    spec = TuningJob(training=trained, metric="acc", ranges={"lines": lines}, strategy="Grid", max_parallel=2)
    first = task.submit(spec.to_request(task.hook))
    assert task.submit(spec.to_request(task.hook)).name == first.name
    ended = task.wait(first.name)
    assert ended["end"] == "completed", ended
    results = ended["results"]
    assert results["hyperparameters"] == {"lines": "5"}
    assert results["metric"] == {"acc": pytest.approx(0.4)}
    assert results["counts"]["completed"] == 3
    described = local.client("sagemaker").describe_training_job(TrainingJobName=results["best_job_name"])
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == results["model_uri"]
    assert any("line 4" in line for line in task.lines)


@pytest.mark.parametrize(
    ("rules", "values", "error"),
    [
        ([{"fault": "capacity", "kind": "training_job"}], ("1", "2"), CapacityError),
        ([{"fault": "capacity", "kind": "training_job", "count": 1}], ("a bug", "a bug too"), JobFailedError),
    ],
    ids=["no machines", "one without a machine, one with a bug"],
)
def test_a_failed_search_says_what_its_training_jobs_failed_of(
    local: Any, rules: list[JsonObject], values: tuple[str, str], error: type[Exception]
) -> None:
    httpx.put(f"{local.url}/_local/faults", json={"rules": rules}, timeout=60).raise_for_status()
    task = Task("hyper_parameter_tuning_job")
    trained = TrainingJob(
        image="sums",
        output="out/",
        metric_definitions=(MetricDefinition(name="acc", regex=r"acc=([0-9.]+)"),),
    )
    given = {"fail": CategoricalParameterRange(type="categorical", values=values)}
    spec = TuningJob(training=trained, metric="acc", ranges=given, strategy="Grid")
    ended = task.wait(task.submit(spec.to_request(task.hook)).name)
    assert ended["end"] == "failed", ended
    operator = TuningJobOperator(task_id="search", job=spec)
    operator._announce(ended["job_name"])
    raised = operator.failed(ended["reason"])
    assert type(raised) is error
    assert "All training jobs failed" in str(raised)


def test_a_kill_stops_a_tuning_job_with_its_training_jobs(local: Any) -> None:
    task = Task("hyper_parameter_tuning_job")
    trained = TrainingJob(
        image="sums",
        output="out/",
        metric_definitions=(MetricDefinition(name="acc", regex=r"acc=([0-9.]+)"),),
    )
    pauses = CategoricalParameterRange(type="categorical", values=(60, 61))
    spec = TuningJob(training=trained, metric="acc", ranges={"pause_s": pauses}, strategy="Grid")
    name = task.submit(spec.to_request(task.hook)).name
    asyncio.run(task.trigger(name).on_kill())
    assert task.wait(name)["end"] == "stopped"
    jobs = local.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert not [job for job in jobs if job["TrainingJobStatus"] == "InProgress"]


def test_from_rows_to_an_endpoint_and_predictions(local: Any) -> None:
    process = Task("processing_job")
    wanted = ProcessingOutput(name="rows", path="/opt/ml/processing/output", destination="rows/")
    body = ProcessingJob(image="sums", entrypoint=("process",), outputs=(wanted,)).to_request(process.hook)
    outputs = process.wait(process.submit(body).name)["results"]["outputs"]
    assert outputs == {"rows": "s3://data/rows/"}

    train = Task()
    model_uri = train.wait(train.submit(training()).name)["results"]["model_uri"]
    registry = RegistryHook(train.hook)
    package = ModelPackage(group="sums", image="sums", model_uri=model_uri)
    version = registry.register(package, train.identity, train.store, LOG)
    assert registry.register(package, train.identity, train.store, LOG) == version
    registry.set_approval(version["model_package_arn"], "Approved", "it adds up")

    transform = Task("transform_job")
    job = TransformJob(
        model_package_arn=version["model_package_arn"], source=outputs["rows"], destination="sums/"
    )
    models = ModelHook(transform.hook)
    rollout = EndpointRollout(endpoint_name="sums", model_package_arn=version["model_package_arn"])
    body = job.to_request(transform.hook, models.ensure_model(rollout.to_model()))
    assert transform.wait(transform.submit(body).name)["end"] == "completed"
    assert ObjectStorageHook(sagemaker=transform.hook).read_text("sums/rows.csv.out") == "3.0\n7.0\n11.0\n"

    endpoint = EndpointHook(train.hook, "sums")
    good = roll_out(endpoint, models, rollout)
    assert good["end"] == "completed"
    assert endpoint.invoke(b"20,22\n", "text/csv", "text/csv") == ("AllTraffic", b"42.0\n")
    bad = roll_out(endpoint, models, rollout.model_copy(update={"environment": {"BROKEN": "1"}}))
    assert (bad["end"], bad["status"]) == ("settled", "InService")
    assert bad["config"] == good["wanted"]["endpoint_config_name"]
    assert bad["reason"]
    assert endpoint.invoke(b"20,22\n", "text/csv", "text/csv") == ("AllTraffic", b"42.0\n")


def roll_out(endpoint: EndpointHook, models: ModelHook, rollout: EndpointRollout) -> JsonObject:
    config = models.ensure_endpoint_config(rollout, models.ensure_model(rollout.to_model()))
    if endpoint.describe() is None:
        endpoint.create(config, {})
    else:
        endpoint.update(config)
    trigger = EndpointTrigger(
        endpoint_name=rollout.endpoint_name,
        wanted_config=config,
        results={"endpoint_name": rollout.endpoint_name, "endpoint_config_name": config},
        phase="serve",
        limit_s=int(LIMIT_S),
        aws_conn_id="aws_sagemaker",
        region_name=None,
        poll_interval_s=0.2,
        deadline_s=time.time() + LIMIT_S,
    )
    return asyncio.run(fired(trigger))
