"""The cache against the local SageMaker: what makes a job unnecessary, and what makes it necessary."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from structlog.testing import capture_logs

from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import PROCESSING, results_of
from airflow_sagemaker.names import TaskIdentity
from airflow_sagemaker.operators.job import JobOperator
from airflow_sagemaker.operators.processing import ProcessingJobOperator
from airflow_sagemaker.operators.reuse import TaskReuse
from airflow_sagemaker.operators.training import TrainingJobOperator
from airflow_sagemaker.operators.transform import BatchTransformOperator
from airflow_sagemaker.plan.lookout import ConnectionLookout
from airflow_sagemaker.specs.model import ModelPackage
from airflow_sagemaker.specs.processing import ProcessingInput, ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.training import Channel, TrainingJob
from airflow_sagemaker.specs.transform import TransformJob
from airflow_sagemaker.submission import STATE_KEY
from tests.contract.conftest import LocalServer

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
JOB_TIMEOUT_S = 300.0
DOCKERFILE = "FROM python:3.11-slim\nCOPY src/ /opt/program/\nENV PATH=/opt/program:$PATH\n"
PROGRAMS = {
    "train": """#!/usr/bin/env python
import os, pathlib
base = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
(base / "model").mkdir(exist_ok=True)
(base / "model" / "weights").write_text("w")
""",
    "process": """#!/usr/bin/env python
import os, pathlib
base = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "processing"
(base / "output").mkdir(parents=True, exist_ok=True)
for given in sorted((base / "input").glob("*.csv")):
    (base / "output" / given.name).write_text("copied " + given.read_text())
""",
    "serve": """#!/usr/bin/env python
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
address = "127.0.0.1" if "SAGEMAKER_BIND_TO_PORT" in os.environ else "0.0.0.0"
HTTPServer((address, int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))), Echo).serve_forever()
""",
}


class Store(dict[str, Any]):
    """Airflow's task state store."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


class House:
    """A pipeline of its own on the server: a bucket with two input objects, and runs of its tasks."""

    def __init__(self, running: LocalServer) -> None:
        self.name = f"letters{uuid.uuid4().hex[:8]}"
        self.s3, self.sagemaker = running.client("s3"), running.client("sagemaker")
        self.program = running.data.parent / "containers" / "letters" / "src" / "train"
        self.lines: list[str] = []
        self.s3.create_bucket(Bucket=self.name)
        self.put("raw/a.csv", "1,2\n")
        self.put("raw/b.csv", "3,4\n")

    def put(self, key: str, text: str) -> None:
        self.s3.put_object(Bucket=self.name, Key=key, Body=text.encode())

    def key(self, uri: str) -> str:
        return uri.removeprefix(f"s3://{self.name}/")

    def read(self, uri: str) -> str:
        text: str = self.s3.get_object(Bucket=self.name, Key=self.key(uri))["Body"].read().decode()
        return text

    def jobs(self) -> int:
        """How many jobs this house has made."""
        mine = {"NameContains": f"{self.name}-", "MaxResults": 100}
        found = self.sagemaker.list_processing_jobs(**mine)["ProcessingJobSummaries"]
        return len(found) + len(self.sagemaker.list_training_jobs(**mine)["TrainingJobSummaries"])

    def prepare(self, image: str = "letters") -> ProcessingJobOperator:
        given = ProcessingInput(name="raw", source="raw/", path="/opt/ml/processing/input")
        wanted = ProcessingOutput(
            name="copy", path="/opt/ml/processing/output", destination="runs/{{ run_id }}/"
        )
        job = ProcessingJob(image=image, entrypoint=("process",), inputs=(given,), outputs=(wanted,))
        with DAG(f"{self.name}__model_build", schedule=None):
            return ProcessingJobOperator(task_id="prepare", cache=True, job=job)

    def train(self, cost: float = 1.0) -> TrainingJobOperator:
        job = TrainingJob(
            image="letters",
            hyperparameters={"C": cost},
            channels={"train": Channel(source="raw/")},
            output="models/{{ run_id }}/",
        )
        with DAG(f"{self.name}__model_build", schedule=None):
            return TrainingJobOperator(task_id="train", cache=True, job=job)

    def run(
        self,
        task: Callable[[], JobOperator[Any]],
        *,
        cleared: bool = False,
        store: Store | None = None,
        meanwhile: Callable[[], None] = lambda: None,
        noted: bool = True,
    ) -> dict[str, Any]:
        """One run of a task to its end: its XCom, and its log in `lines`.

        `meanwhile` happens when the job has been made; without `noted` the task ends in the triggerer.
        """
        operator = task()
        context = self.context(operator, cleared=cleared, store=store)
        operator.render_template_fields(context)
        with capture_logs() as events:
            try:
                results = operator.execute(context)
            except TaskDeferred:
                meanwhile()
                results = self._end(operator, task(), context, noted)
        self.lines = [str(event["event"]) % event.get("positional_args", ()) for event in events]
        return dict(results)

    def context(
        self, operator: JobOperator[Any] | None = None, *, cleared: bool = False, store: Store | None = None
    ) -> Any:
        """As Airflow gives it to the task."""
        task = operator or self.prepare()
        ti = SimpleNamespace(
            dag_id=task.dag_id,
            run_id=uuid.uuid4().hex,
            task_id=task.task_id,
            map_index=-1,
            try_number=1,
            task=task,
            max_tries=1 if cleared else 0,
        )
        found = Store() if store is None else store
        return {"ti": ti, "run_id": ti.run_id, "task_state_store": found}

    def _end(self, operator: Any, later: Any, context: Any, noted: bool) -> dict[str, Any]:
        """Wait for the job as the trigger does, then end the task in another process of it."""
        kind, name = operator.kind, operator._job_name
        describe = getattr(self.sagemaker, f"describe_{kind.operation}")
        deadline = time.monotonic() + JOB_TIMEOUT_S
        while kind.end(described := describe(**{kind.name_field: name})) is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert kind.status(described).upper() == "COMPLETED", described.get("FailureReason")
        results = results_of(kind, described)
        if not noted:
            return results
        later.render_template_fields(context)
        ended: dict[str, Any] = later.execute_complete(
            context, {"end": "completed", "job_name": name, "results": results}
        )
        return ended

    def said(self, text: str) -> bool:
        """Whether the log of the last run says so."""
        return any(text in line for line in self.lines)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("cache")
    source = folder / "containers" / "letters" / "src"
    source.mkdir(parents=True)
    (source.parent / "Dockerfile").write_text(DOCKERFILE)
    for name, program in PROGRAMS.items():
        (source / name).write_text(program)
        (source / name).chmod(0o755)
    server = LocalServer(folder / "data", folder / "containers").start()
    yield server
    server.stop()


@pytest.fixture
def house(running: LocalServer, monkeypatch: pytest.MonkeyPatch) -> House:
    built = House(running)
    extra = {
        "region_name": "us-east-1",
        "endpoint_url": running.url,
        "sagemaker": {"bucket": built.name, "role_arn": ROLE},
    }
    connection = {"conn_type": "aws", "login": "test", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps(connection))
    return built


def test_the_same_work_is_done_once(house: House) -> None:
    first = house.run(house.prepare)
    assert "reused_job" not in first
    second = house.run(house.prepare)
    assert house.jobs() == 1
    assert second == {**first, "reused_job": first["job_name"]}
    assert house.read(second["outputs"]["copy"] + "a.csv") == "copied 1,2\n"
    assert house.said(f"reusing {first['job_name']}; the same work was done by {first['job_name']}")
    trained = house.run(house.train)
    assert house.run(house.train)["model_uri"] == trained["model_uri"]
    assert house.jobs() == 2


def test_a_changed_byte_of_an_input_is_a_miss_that_names_it(house: House) -> None:
    house.run(house.prepare)
    house.put("raw/b.csv", "3,5\n")
    assert "reused_job" not in house.run(house.prepare)
    assert house.said("input raw: b.csv has other content")
    house.put("raw/c.csv", "6,7\n")
    assert "reused_job" not in house.run(house.prepare)
    assert house.said("input raw: c.csv is new")
    assert house.jobs() == 3


def test_a_changed_hyperparameter_or_image_is_a_miss_that_names_it(house: House) -> None:
    house.run(house.train)
    assert "reused_job" not in house.run(lambda: house.train(2.0))
    assert house.said("HyperParameters.C: '1.0' is now '2.0'")
    assert "reused_job" in house.run(house.train), "the first job still counts"
    house.program.write_text(house.program.read_text() + f"# {house.name}\n")
    assert "reused_job" not in house.run(house.train)
    assert house.said("image: 'sha256:")


def test_what_is_gone_or_changed_is_not_reused(house: House) -> None:
    first = house.run(house.prepare)
    house.s3.delete_object(Bucket=house.name, Key=house.key(first["outputs"]["copy"]) + "b.csv")
    second = house.run(house.prepare)
    assert "reused_job" not in second
    assert house.said("b.csv is gone")
    assert house.run(house.prepare)["reused_job"] == second["job_name"]
    house.put(house.key(second["outputs"]["copy"]) + "a.csv", "forged")
    assert "reused_job" not in house.run(house.prepare)
    assert house.said("a.csv is not what it wrote")


def test_a_cleared_task_runs_anew(house: House) -> None:
    house.run(house.prepare)
    assert "reused_job" not in house.run(house.prepare, cleared=True)
    assert house.said("was cleared and runs anew")
    assert house.jobs() == 2


def test_a_tag_without_a_digest_is_a_miss_with_its_reason(house: House) -> None:
    for image, reason in (
        ("registry.example.com/letters:1", "registry.example.com/letters:1 is not in ECR and has no digest"),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/none-such:1", "ECR does not tell the digest of"),
    ):
        found = TaskReuse(SageMakerHook(), PROCESSING, house.context(), structlog.get_logger())
        with capture_logs() as events:
            assert found.look_up(house.prepare(image).request(house.prepare(image).rendered())) is None
        assert reason in str(events)


def test_inputs_that_changed_while_the_job_ran_keep_it_from_being_reused(house: House) -> None:
    """What the job read may have been the old or the new ones: its key is not worth anything."""
    house.run(house.prepare, meanwhile=lambda: house.put("raw/a.csv", "9,9\n"))
    assert house.said("changed while it ran: input raw: a.csv has other content")
    assert "reused_job" not in house.run(house.prepare)
    house.put("raw/a.csv", "1,2\n")
    assert "reused_job" not in house.run(house.prepare)


def test_a_job_whose_task_ended_in_the_triggerer_counts_if_its_one_artefact_is_untouched(
    house: House,
) -> None:
    """Nobody noted what it wrote; of one artefact AWS tells when it was whole."""
    first = house.run(house.train, noted=False)
    assert house.run(house.train)["reused_job"] == first["job_name"]
    second = house.run(lambda: house.train(2.0), noted=False)
    time.sleep(1.1)  # LastModified has whole seconds
    house.put(house.key(second["model_uri"]), "forged")
    assert "reused_job" not in house.run(lambda: house.train(2.0))


def test_a_job_whose_task_ended_in_the_triggerer_does_not_count_for_its_prefixes(house: House) -> None:
    house.run(house.prepare, noted=False)
    assert "reused_job" not in house.run(house.prepare)
    assert house.said("nobody noted what it wrote")


def test_a_retry_goes_on_with_the_job_of_its_own_task(house: House) -> None:
    """Its worker died when the job was made; another run's finished twin must not leave it alone."""
    house.run(house.prepare)
    store = Store({STATE_KEY: {"name": "of an earlier try"}})
    assert "reused_job" not in house.run(house.prepare, store=store)


def test_a_broken_index_costs_a_job_and_no_more(house: House) -> None:
    house.run(house.prepare)
    listed = house.s3.list_objects_v2(Bucket=house.name, Prefix=f"{house.name}/cache/")
    for entry in listed["Contents"]:
        house.put(entry["Key"], "{")
    assert "reused_job" not in house.run(house.prepare)
    assert "reused_job" in house.run(house.prepare)


def test_a_plan_with_a_connection_sees_what_a_run_would_reuse(house: House) -> None:
    made = house.run(house.prepare)
    lookout = ConnectionLookout("aws_sagemaker")
    task = house.prepare()
    identity = TaskIdentity(task.dag_id, "manual__next", task.task_id)
    found = lookout.reuse(PROCESSING, identity, task.request(task.rendered()))
    assert (found.verdict, found.job_name) == (f"reuses {made['job_name']}", made["job_name"])
    runtime_s = lookout.runtime_s(PROCESSING, identity)
    assert runtime_s is not None
    assert 0 < runtime_s < JOB_TIMEOUT_S
    house.put("raw/a.csv", "7,7\n")
    missed = lookout.reuse(PROCESSING, identity, task.request(task.rendered()))
    assert missed.job_name is None
    assert missed.changed == [f"since {made['job_name']}", "input raw: a.csv has other content"]
    assert house.jobs() == 1


def test_a_model_that_scored_the_same_rows_need_not_score_them_again(house: House) -> None:
    trained = house.run(house.train)
    package = ModelPackage(
        group=house.name, image="letters", model_uri=trained["model_uri"], approval="Approved"
    )
    house.sagemaker.create_model_package_group(ModelPackageGroupName=house.name)
    arn = house.sagemaker.create_model_package(**package.to_request(SageMakerHook()))["ModelPackageArn"]

    def score() -> BatchTransformOperator:
        job = TransformJob(model_package_arn=arn, source="raw/", destination="scored/{{ run_id }}/")
        with DAG(f"{house.name}__nightly_batch_transform", schedule=None):
            return BatchTransformOperator(task_id="transform", cache=True, transform=job)

    first = house.run(score)
    assert house.run(score) == {**first, "reused_job": first["job_name"]}
    house.put("raw/b.csv", "8,8\n")
    assert "reused_job" not in house.run(score)
    assert house.said("input data: b.csv has other content")
