"""One Airflow and one local SageMaker for the end-to-end tests and the failure paths of a session.

They run a house of their own: the repository's DAG files, images and specs, and beside them images that are
broken on purpose with specs that use them. Nothing of ``make demo`` is touched.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import aws, land
from demo.airflow_api import AirflowApi
from demo.runs import RunRecord, follow
from demo.stack import BUCKET, Stack, StackSettings
from tests.shared_houses import SQLITE, keep

ROOT = Path(__file__).parent.parent

RUN_TIMEOUT_S = 900
"""Of a run with its jobs, whose environments may have to be made first."""

PING_TIMEOUT_S = 40
"""How long a server may take to answer its first /ping: AWS's four minutes would be spent by one test."""

BROKEN_PROGRAMS = {
    # image: program of the digits image that is replaced, and what it does instead
    "digits-raising": ("train", "raise ValueError('the learning rate is negative: -1')"),
    "digits-silent": ("serve", "import time\nprint('loading for ever', flush=True)\ntime.sleep(3600)"),
    "digits-slow": ("train", "import time\nprint('training slowly', flush=True)\ntime.sleep(3600)"),
}
"""Images of the failure paths; each is the digits image but for one program."""

BROKEN_PIPELINES = {
    "raising": {"images": {"model": "digits-raising", "prepare": "digits-prepare"}},
    "silent": {"images": {"model": "digits-silent", "prepare": "digits-prepare"}},
    "spoilt": {},  # sound, but its raw data is not
    "interrupted": {},  # sound, but everything is killed while it runs
}


class House:
    """A running stack and the handles that tests need.

    Attributes:
        stack: The processes.
        api: Airflow's REST API.
        s3: boto3's S3 client of the local SageMaker.
        sagemaker: boto3's SageMaker client of it.
        runtime: boto3's SageMaker runtime client of it.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.api: AirflowApi = stack.api
        self.s3: Any = aws.client("s3", stack.sagemaker_url)
        self.sagemaker: Any = aws.client("sagemaker", stack.sagemaker_url)
        self.runtime: Any = aws.client("sagemaker-runtime", stack.sagemaker_url)

    def run(
        self, dag_id: str, *, conf: Mapping[str, Any] | None = None, timeout_s: float = RUN_TIMEOUT_S
    ) -> RunRecord:
        """Trigger a DAG and follow it to its end, whatever that is."""
        self.api.unpause(dag_id)
        return self.follow(RunRecord(dag_id, self.api.trigger(dag_id, conf=dict(conf or {}))), timeout_s)

    def follow(self, run: RunRecord, timeout_s: float = RUN_TIMEOUT_S) -> RunRecord:
        """Follow a run to its end, whatever that is."""
        (ended,) = follow(self.api, [run], timeout_s=timeout_s, seen=lambda _: self.stack.check())
        return ended

    def results(self, run: RunRecord) -> dict[str, Any]:
        """What the tasks of a run returned, by task."""
        return {
            entry["task_id"]: self.api.xcom(run.dag_id, run.run_id, entry["task_id"])
            for entry in self.api.run_xcoms(run.dag_id, run.run_id)
        }

    def log(self, run: RunRecord, task_id: str, *, try_number: int | None = None) -> str:
        """The log of a task's last try, or of an earlier one."""
        number = try_number or run.tasks[(task_id, -1)].try_number
        return "\n".join(self.api.log_lines(run.dag_id, run.run_id, task_id, try_number=number))

    def logs(self, run: RunRecord, task_id: str) -> str:
        """The logs of all tries of a task.

        A late event of the executor may fail a resumed task: then the next try says what the lost one found.
        """
        tries = range(1, run.tasks[(task_id, -1)].try_number + 1)
        return "\n".join(self.log(run, task_id, try_number=number) for number in tries)

    def read(self, key: str) -> bytes:
        """An object of the bucket."""
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def objects(self, prefix: str) -> dict[str, tuple[str, Any]]:
        """ETag and time of the last change of every object below a prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {
            item["Key"]: (item["ETag"], item["LastModified"])
            for page in pages
            for item in page.get("Contents", [])
        }

    def job_names(self) -> set[str]:
        """Names of all processing, training, compilation and transform jobs."""
        from demo.jobs import KINDS

        return {
            item[f"{kind.noun}JobName"]
            for kind in KINDS
            for page in self.sagemaker.get_paginator(kind.list_operation).paginate()
            for item in page[kind.summaries]
        }

    def packages(self, group: str) -> list[dict[str, Any]]:
        """The versions of a model package group; none where there is no group."""
        try:
            answer = self.sagemaker.list_model_packages(ModelPackageGroupName=group)
        except self.sagemaker.exceptions.ClientError as error:
            if "does not exist" in str(error) or "NotFound" in str(error) or "not find" in str(error):
                return []
            raise
        packages: list[dict[str, Any]] = answer["ModelPackageSummaryList"]
        return packages


def states(run: RunRecord) -> dict[str, str | None]:
    """State by task."""
    return {task_id: task.state for (task_id, _), task in run.tasks.items()}


def csv_rows(body: bytes) -> list[list[str]]:
    """Rows of a CSV object."""
    return [row for row in csv.reader(io.StringIO(body.decode())) if row]


def _furnish(house: Path) -> None:
    """Copy the DAGs, images and specs, and add the broken ones."""
    shutil.copytree(ROOT / "dags", house / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "include", house / "include")
    containers = house / "containers"
    shutil.copytree(
        ROOT / "containers", containers, ignore=shutil.ignore_patterns("__pycache__", "sagemaker-local", ".*")
    )
    for image, (program, body) in BROKEN_PROGRAMS.items():
        shutil.copytree(containers / "digits", containers / image)
        path = containers / image / "src" / program
        path.write_text(f"#!/usr/bin/env python\n{body}\n")
        path.chmod(0o755)
    pipelines = house / "include" / "pipelines"
    digits = yaml.safe_load((pipelines / "digits.yaml").read_text())
    for name, changes in BROKEN_PIPELINES.items():
        spec = digits | changes | {"name": name}
        (pipelines / f"{name}.yaml").write_text(yaml.safe_dump(spec))


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """The stack, stopped with the last of its tests; digits are landed for every pipeline."""
    folder = Path(tempfile.mkdtemp(prefix="house-"))
    _furnish(folder)
    stack = Stack(
        StackSettings(
            home=folder / "home",
            sagemaker_port=0,
            airflow_port=0,
            containers_dir=folder / "containers",
            dags_dir=folder / "dags",
            sagemaker_arguments=("--ping-timeout-s", str(PING_TIMEOUT_S), "--stop-grace-s", "10"),
        )
    )
    keep(SQLITE, stack)
    try:
        stack.start()
        running = House(stack)
        partitions = land.digits()
        for name in ("digits", *BROKEN_PIPELINES):
            land.land(running.s3, BUCKET, name, partitions)
        names = ("digits", "bank_marketing", *BROKEN_PIPELINES)
        families = ("model_build", "endpoint_rollout", "nightly_batch_transform")
        stack.wait_for_dags({f"{name}__{family}" for name in names for family in families})
        yield running
    finally:
        stack.stop()
    # Kept after a failure: its logs are what one needs then.
    shutil.rmtree(folder, ignore_errors=True)


def metrics(house: House, result: Mapping[str, Any], name: str) -> dict[str, float]:
    """The metrics that a job wrote to its output of this name."""
    prefix = str(result["outputs"][name]).removeprefix(f"s3://{BUCKET}/").rstrip("/")
    report: dict[str, dict[str, float]] = json.loads(house.read(f"{prefix}/{name}.json"))
    return report["metrics"]
