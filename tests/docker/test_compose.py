"""docker-compose.yaml: a team's stack runs a pipeline to its end although a worker is killed in the middle.

`make test-docker` says by PYTHON_IMAGE, POSTGRES_IMAGE and REDIS_IMAGE which base images there are, and by
COMPOSE which Compose; without it `docker compose` is taken.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from demo import land
from demo.airflow_api import AirflowApi, AirflowApiError
from demo.chain import BUILD, NIGHTLY, PIPELINE, ROLLOUT
from demo.runs import RunRecord, follow, require_success
from demo.stack import BUCKET, COMPONENTS
from tests.docker.conftest import ROOT, docker

UP_S = 1200.0
RUN_S = 1800.0
LOG = ROOT / "build" / "docker" / "compose.log"
WORKERS = 2
SCORED_NIGHT = "2026-01-12T00:00:00Z"


class Team:
    """The stack under a project name of its own.

    Attributes:
        secrets: What `scripts/compose_env` wrote.
    """

    def __init__(self, home: Path) -> None:
        self.project = f"sagemaker-test-{os.getpid()}"
        self._env_file = home / "env"
        subprocess.run([ROOT / "scripts" / "compose_env", self._env_file], check=True, capture_output=True)
        lines = self._env_file.read_text().splitlines()
        self.secrets = dict(line.split("=", 1) for line in lines)
        self._command = shlex.split(os.environ.get("COMPOSE", "docker compose"))
        self._command += ["--env-file", str(self._env_file), "--project-name", self.project]
        # Port 0 lets the engine choose.
        self._environment = {**os.environ, "AIRFLOW_PORT": "0", "SAGEMAKER_PORT": "0"}
        # A minute in production; here a dead worker is missed sooner.
        self._environment["TASK_HEARTBEAT_TIMEOUT_S"] = "30"

    def compose(self, *arguments: str, timeout_s: float = 300, check: bool = True) -> str:
        """What a Compose command printed."""
        done = subprocess.run(
            [*self._command, *arguments],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"compose {' '.join(arguments)}: {done.stderr[-3000:]}")
        return done.stdout.strip()

    def url(self, service: str, port: int) -> str:
        """Where a service's port is published."""
        where = self.compose("port", service, str(port))
        assert where.startswith("127.0.0.1:"), f"{service} listens beyond loopback: {where}"
        return f"http://{where}"

    def containers(self, service: str) -> list[str]:
        """Ids of a service's running containers."""
        return self.compose("ps", "--quiet", "--status", "running", service).split()

    @property
    def api(self) -> AirflowApi:
        return AirflowApi(
            self.url("api-server", 8080), user="admin", password=self.secrets["AIRFLOW_ADMIN_PASSWORD"]
        )

    def client(self, service: str) -> Any:
        """A boto3 client of the stack's local SageMaker, with the stack's key."""
        session: Any = boto3.session.Session()
        return session.client(
            service,
            endpoint_url=self.url("sagemaker", 4566),
            region_name="us-east-1",
            aws_access_key_id=self.secrets["SAGEMAKER_LOCAL_ACCESS_KEY_ID"],
            aws_secret_access_key=self.secrets["SAGEMAKER_LOCAL_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    team = Team(tmp_path_factory.mktemp("compose"))
    try:
        team.compose("version")
    except (OSError, AssertionError) as error:
        pytest.skip(f"needs Docker Compose (make test-docker): {error}")
    try:
        team.compose("build", timeout_s=UP_S)
        team.compose("up", "--detach", "--scale", f"worker={WORKERS}", timeout_s=UP_S)
        yield team
    finally:
        LOG.parent.mkdir(parents=True, exist_ok=True)
        LOG.write_text(team.compose("logs", "--no-color", "--timestamps", check=False))
        team.compose("down", "--volumes", "--timeout", "5", check=False)


def until(holds: Callable[[], Any], what: str, timeout_s: float) -> Any:
    """The first true answer of a function."""
    deadline = time.monotonic() + timeout_s
    while not (answer := holds()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.5)
    return answer


def test_every_service_becomes_healthy_and_listens_on_loopback_only(team):
    def unhealthy() -> list[str]:
        listed = team.compose("ps", "--format", "{{.Service}} {{.Health}}").splitlines()
        return [line for line in listed if not line.endswith(" healthy")]

    until(lambda: not unhealthy(), "every health check passes", UP_S)
    # Docker remembers its last answers; a heartbeat of now may be late.
    api, well = team.api, dict.fromkeys(COMPONENTS, "healthy")
    until(lambda: well.items() <= api.health().items(), "every component is healthy", UP_S)
    published = docker(
        "ps", "--filter", f"label=com.docker.compose.project={team.project}", "--format", "{{.Ports}}"
    )
    bound = [port for line in published.splitlines() for port in line.split(", ") if "->" in port]
    assert len(bound) == 2
    assert all(port.startswith("127.0.0.1:") for port in bound)


def test_nobody_gets_in_without_the_secrets(team):
    stranger = team.client("sts")
    stranger._request_signer._credentials = boto3.session.Session(
        aws_access_key_id="test", aws_secret_access_key="test"
    ).get_credentials()
    with pytest.raises(Exception, match=r"(?i)security token|access key"):
        stranger.get_caller_identity()
    with pytest.raises(AirflowApiError, match="401"):
        AirflowApi(team.url("api-server", 8080), user="admin", password="admin").dag_ids()
    refused = docker("exec", team.containers("redis")[0], "env", "-u", "REDISCLI_AUTH", "redis-cli", "ping")
    assert "NOAUTH" in refused
    # Without the file of secrets nothing starts, and the message says what to do.
    done = subprocess.run(
        [*shlex.split(os.environ.get("COMPOSE", "docker compose")), "--env-file", os.devnull, "config"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "make compose-env" in done.stderr


def test_jobs_of_the_stack_run_in_sandboxes(team):
    health = docker(
        "exec", team.containers("sagemaker")[0], "python3", "-c",
        "import urllib.request as r; print(r.urlopen('http://127.0.0.1:4566/_local/health').read().decode())",
    )  # fmt: skip
    assert '"executor":"bubblewrap"' in health.replace(" ", "")


def test_the_pipeline_ends_green_although_a_worker_is_killed_in_the_middle(team):
    api = team.api
    land.land(team.client("s3"), BUCKET, PIPELINE, land.digits())
    until(lambda: {BUILD, ROLLOUT, NIGHTLY} <= api.dag_ids(), "the DAGs are parsed", UP_S)
    workers = team.containers("worker")
    assert len(workers) == WORKERS
    for dag_id in (ROLLOUT, BUILD):
        api.unpause(dag_id)
    build = RunRecord(BUILD, api.trigger(BUILD))

    def in_the_middle() -> tuple[str, dict[str, Any]] | None:
        """A worker that runs a task while another task has ended, and its task."""
        tasks = api.tasks(BUILD, build.run_id)
        if not any(task["state"] == "success" for task in tasks):
            return None
        running = [task for task in tasks if task["state"] == "running" and task["hostname"]]
        found = ((each, task) for each in workers for task in running if each.startswith(task["hostname"]))
        return next(found, None)

    def after(task: dict[str, Any]) -> dict[str, Any] | None:
        """What became of a task that ran."""
        key = (task["task_id"], task["map_index"])
        tasks = {(each["task_id"], each["map_index"]): each for each in api.tasks(BUILD, build.run_id)}
        same = (tasks[key]["state"], tasks[key]["try_number"]) == (task["state"], task["try_number"])
        return None if same else tasks[key]

    def is_up(worker: str) -> bool:
        return worker in team.containers("worker")

    while True:
        killed, task = until(in_the_middle, "a worker runs a task", RUN_S)
        docker("kill", killed)
        became = until(functools.partial(after, task), "it is seen that the task's worker is dead", RUN_S)
        assert became["state"] != "failed", became
        if became["state"] == "up_for_retry" or became["try_number"] > task["try_number"]:
            break
        # It was through, or had just begun to wait for its job: the worker comes back to die in a later one.
        docker("start", killed)
        until(functools.partial(is_up, killed), "the worker is back", UP_S)
    follow(api, [build], timeout_s=RUN_S)
    require_success(api, [build])
    again = build.tasks[task["task_id"], task["map_index"]]
    assert again.try_number > task["try_number"], "the task of the dead worker ran again"
    left = team.containers("worker")
    assert killed not in left
    assert len(left) == WORKERS - 1

    def rolled_out() -> list[RunRecord]:
        # Airflow 3.3.2 answers 500 for a run that has not started.
        return [RunRecord(ROLLOUT, run["dag_run_id"]) for run in api.runs(ROLLOUT) if run["start_date"]]

    rollout = until(rolled_out, "the approved model starts its rollout", RUN_S)
    api.unpause(NIGHTLY)
    night = RunRecord(NIGHTLY, api.trigger(NIGHTLY, logical_date=SCORED_NIGHT))
    require_success(api, follow(api, [*rollout, night], timeout_s=RUN_S))
    endpoints = team.client("sagemaker").list_endpoints()["Endpoints"]
    assert [endpoint["EndpointStatus"] for endpoint in endpoints] == ["InService"]
    scored = team.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"{PIPELINE}/predictions/")
    assert scored["KeyCount"] > 0
