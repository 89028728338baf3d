"""An Airflow whose queue can be held, and what people do to its tasks through the REST API, as in the UI."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import re
import shutil
import signal
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from airflow_sagemaker.deployment import VARIABLE
from airflow_sagemaker.kinds import KINDS, JobKind
from demo import postgresql
from demo.airflow_api import AirflowApiError
from demo.stack import ACCOUNT, AIRFLOW_SERVICES, BUCKET, REGION, ROOT, Stack, StackSettings
from tests.faults.user_actions.cells import Cell
from tests.running_stack import House

HERE = Path(__file__).parent
TASK_ID = "job"
TIMEOUTS_FILE = "timeouts.json"
SWEEPER = "housekeeping__orphans"


class ActionsHouse(House):
    """The running stack, with what a person and a bad day do to a task."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        super().__init__(stack)
        self.folder = folder
        self.held = folder / "held"
        self.model_package_arn = ""
        self.triggerers: set[int] = set()

    def hold(self, cells: Iterable[Cell]) -> None:
        """Keep the tasks of these runs in the executor's queue from now on."""
        for cell in cells:
            (self.held / cell.run_id).touch()

    def release(self, cells: Iterable[Cell]) -> None:
        """Let them have workers."""
        for cell in cells:
            (self.held / cell.run_id).unlink(missing_ok=True)

    def start(self, cells: Iterable[Cell]) -> None:
        """Trigger the run of each."""
        for cell in cells:
            conf = {"seconds": cell.seconds, "model_package_arn": self.model_package_arn}
            self.api.post(
                f"/dags/{cell.dag_id}/dagRuns",
                {"dag_run_id": cell.run_id, "logical_date": None, "conf": conf},
            )

    def tasks(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Every task instance by DAG and run."""
        found = self.api.get("/dags/~/dagRuns/~/taskInstances", limit=200)["task_instances"]
        return {(task["dag_id"], task["dag_run_id"]): task for task in found if task["task_id"] == TASK_ID}

    def mark(self, cell: Cell, state: str) -> None:
        """What the buttons "Mark as failed" and "Mark as success" of a task do."""
        path = f"{self._run(cell)}/taskInstances/{TASK_ID}"
        self.api.patch(path, {"new_state": state})

    def clear(self, cell: Cell) -> None:
        """What the button "Clear" of a task does."""
        body = {
            "dry_run": False,
            "dag_run_id": cell.run_id,
            "task_ids": [TASK_ID],
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.api.post(f"/dags/{cell.dag_id}/clearTaskInstances", body)

    def delete_run(self, cell: Cell) -> None:
        """What a run's "Mark as failed" and "Delete" do: Airflow deletes no run that is running."""
        try:
            self.api.delete(self._run(cell))
        except AirflowApiError as error:
            if "409" not in str(error):
                raise
        self.api.patch(self._run(cell), {"state": "failed"})
        self.api.delete(self._run(cell))

    def shorten_dag_timeout(self, seconds: float) -> None:
        """Give the DAG with a DAG timeout another one, and have its file parsed again."""
        _write_timeouts(self.folder / "dags", seconds)
        token = self.api.get("/dags/user_actions__dag_timeout")["file_token"]
        self.api.put(f"/parseDagFile/{token}")

    def trigger_has_started(self, cell: Cell) -> bool:
        """Whether the triggerer has begun to run what a task of this cell waits by."""
        place = f"dag_id={cell.dag_id}/run_id={cell.run_id}/task_id={TASK_ID}"
        return any((self.folder / "home/airflow/logs" / place).glob("*.trigger.*"))

    def lose_worker(self, process_id: int) -> None:
        """SIGKILL to the process of a task, as the kernel does that runs out of memory."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)

    def forget_triggerers(self) -> None:
        """Tell those that there have been from one that is started later."""
        self.triggerers = {job["id"] for job in self._triggerers()}

    def has_new_triggerer(self) -> bool:
        """Whether one has started since, and gone round its loop for a while."""
        beats = [
            datetime.fromisoformat(job["latest_heartbeat"]) - datetime.fromisoformat(job["start_date"])
            for job in self._triggerers()
            if job["id"] not in self.triggerers
        ]
        return any(beat > timedelta(seconds=5) for beat in beats)

    def _triggerers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get("/jobs", job_type="TriggererJob", limit=100)["jobs"]
        return found

    def lose_answers(self, operation: str) -> None:
        """Let the local SageMaker do what it is asked, and close the connection instead of answering."""
        self._faults("PUT", {"rules": [{"operation": operation, "drop": "after"}]})

    def no_faults(self) -> None:
        """Answer again."""
        self._faults("DELETE")

    def jobs(self) -> dict[str, list[tuple[JobKind, dict[str, Any]]]]:
        """Every job that a task made, described, by the run that its tags name."""
        found: dict[str, list[tuple[JobKind, dict[str, Any]]]] = {}
        for kind in KINDS.values():
            pages = self.sagemaker.get_paginator(kind.list_operation).paginate()
            for summary in (summary for page in pages for summary in page[kind.summaries_field]):
                tags = self.sagemaker.list_tags(ResourceArn=summary[kind.arn_field])["Tags"]
                run_id = next((tag["Value"] for tag in tags if tag["Key"] == "airflow:run_id"), None)
                if run_id is None or summary.get("TuningJobArn"):
                    continue
                describe = getattr(self.sagemaker, f"describe_{kind.operation}")
                described = describe(**{kind.name_field: summary[kind.name_field]})
                if "TuningJobArn" not in described:
                    found.setdefault(run_id, []).append((kind, described))
        return found

    def eventually(self, what: str, holds: Callable[[], Any], *, timeout_s: float = 300) -> bool:
        """Wait until something holds; says whether it did, for a cell that hangs must not hide the others."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            self.stack.check()
            if time.monotonic() > deadline:
                print(f"not in {timeout_s:.0f} s: {what}")
                return False
            time.sleep(0.5)
        return True

    def _run(self, cell: Cell) -> str:
        return f"/dags/{cell.dag_id}/dagRuns/{cell.run_id}"

    def _faults(self, method: str, plan: Mapping[str, Any] | None = None) -> dict[str, Any]:
        url = f"{self.stack.sagemaker_url}/_local/faults"
        content = json.dumps(plan).encode() if plan is not None else None
        answer = httpx.request(method, url, content=content, trust_env=False, timeout=30)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json() if answer.content else {}
        return body


class SlowToLoad:
    """A scikit-learn "model" that takes ten minutes to unpickle, so that its compilation can be stopped."""

    def __reduce__(self) -> tuple[Callable[[float], None], tuple[float]]:
        return time.sleep, (600.0,)


def build(folder: Path) -> Stack:
    """The stack, not yet started, and its DAGs, executor and images."""
    dags = folder / "dags"
    shutil.copytree(HERE / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    (dags / "housekeeping.py").write_text(housekeeping())
    shutil.copytree(ROOT / "include", folder / "include")
    shutil.copytree(HERE / "containers", folder / "containers")
    (folder / "executor").mkdir()
    shutil.copy(HERE / "held_executor.py", folder / "executor")
    (folder / "held").mkdir()
    _write_timeouts(dags, seconds=3600)
    return Stack(
        StackSettings(
            home=folder / "home",
            sagemaker_port=0,
            airflow_port=0,
            containers_dir=folder / "containers",
            dags_dir=dags,
            sagemaker_arguments=("--jobs", "64", "--stop-grace-s", "5"),
            database="postgresql" if postgresql.programs() else "sqlite",
            restarted=AIRFLOW_SERVICES,
            # A worker whose Create is not answered goes on asking until it is acted upon, however long that
            # takes; the eight attempts of our own may be over in a quarter of a minute.
            connection_extra={"config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 200}}},
            environment={
                "AIRFLOW__CORE__EXECUTOR": "held_executor.HeldExecutor",
                "AIRFLOW__CORE__PARALLELISM": "18",
                # On a slow machine who is alive must not count as lost, nor take itself for it.
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
                "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "300",
                "HELD_RUNS": str(folder / "held"),
                "PYTHONPATH": str(folder / "executor"),
            },
        )
    )


def housekeeping() -> str:
    """The repository's DAG file, started by hand and with a short grace."""
    text = (ROOT / "dags" / "housekeeping.py").read_text()
    for pattern, given in (
        (r"schedule=CronTriggerTimetable\([^)]*\)", "schedule=None"),
        (r'task_id="stop_orphans"', 'task_id="stop_orphans", grace_s=2'),
    ):
        text, count = re.subn(pattern, given, text)
        assert count, f"dags/housekeeping.py has no {pattern}"
    return text


def furnish(house: ActionsHouse) -> None:
    """Land rows and models, and register a version that takes its time to serve."""
    house.s3.create_bucket(Bucket=BUCKET)
    # An Airflow that has run before: its first tasks would have to agree on this.
    house.api.post("/variables", {"key": VARIABLE, "value": "user-actions"})
    house.s3.put_object(Bucket=BUCKET, Key="user-actions/rows/rows.csv", Body=b"1,2\n")
    models = {
        "slow-to-compile": _archive("model.pkl", pickle.dumps(SlowToLoad())),
        "slow-to-serve": _archive("weights", b"w"),
    }
    for name, body in models.items():
        house.s3.put_object(Bucket=BUCKET, Key=f"user-actions/{name}/model.tar.gz", Body=body)
    house.sagemaker.create_model_package_group(ModelPackageGroupName="user-actions")
    container = {
        "Image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/patient:latest",
        "ModelDataUrl": f"s3://{BUCKET}/user-actions/slow-to-serve/model.tar.gz",
    }
    house.model_package_arn = house.sagemaker.create_model_package(
        ModelPackageGroupName="user-actions",
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
            "SupportedTransformInstanceTypes": ["ml.m5.large"],
        },
    )["ModelPackageArn"]


def _write_timeouts(dags: Path, seconds: float) -> None:
    # At once: the DAG processor reads it at any time.
    partial = dags / f"{TIMEOUTS_FILE}.partial"
    partial.write_text(json.dumps({"dag_s": seconds}))
    partial.replace(dags / TIMEOUTS_FILE)


def _archive(member: str, body: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as files:
        info = tarfile.TarInfo(member)
        info.size = len(body)
        files.addfile(info, io.BytesIO(body))
    return packed.getvalue()
