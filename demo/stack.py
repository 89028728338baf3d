"""The local SageMaker and Airflow's four processes, started together on loopback and stopped together.

Used by ``make demo`` and by the end-to-end tests; each stack has a home directory and ports of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from demo import processes
from demo.airflow_api import AirflowApi
from demo.processes import Service

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT = "123456789012"
REGION = "us-east-1"
BUCKET = f"sagemaker-{REGION}-{ACCOUNT}"
USER = "admin"
COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
AIRFLOW_SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer")

SAGEMAKER_START_TIMEOUT_S = 60
AIRFLOW_START_TIMEOUT_S = 180
SCHEDULER_RESTARTS = 3


class StackError(Exception):
    """The stack cannot be started or died; says which process, and shows the end of its log."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """What a stack is started with.

    Attributes:
        home: Everything it writes lies below here.
        sagemaker_port: Port of the local SageMaker; another free one when it is taken; 0 for any.
        airflow_port: The same for Airflow's API server and UI.
        containers_dir: The images of the local SageMaker.
        dags_dir: Airflow's DAG files; their specs lie in the folder ``include`` beside it.
        sagemaker_arguments: Further arguments of ``sagemaker-local``.
        environment: Further environment of Airflow.
    """

    home: Path
    sagemaker_port: int = 4566
    airflow_port: int = 8080
    containers_dir: Path = ROOT / "containers"
    dags_dir: Path = ROOT / "dags"
    sagemaker_arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """One local SageMaker and one Airflow.

    Attributes:
        settings: What it is started with.
        sagemaker_url: Endpoint of every AWS service.
        airflow_url: Airflow's UI and API.
        password: Of the user ``admin``.
        notes: What a user should know: ports that were taken, leftovers that were stopped, restarts.
    """

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.sagemaker_url = ""
        self.airflow_url = ""
        self.password = ""
        self.notes: list[str] = []
        self._home = settings.home.resolve()
        self._services: dict[str, Service] = {}
        self._scheduler_restarts = 0
        self._environment: dict[str, str] = {}
        self._log_ports: tuple[int, int] = (0, 0)

    @property
    def api(self) -> AirflowApi:
        """A client of this stack's Airflow."""
        return AirflowApi(self.airflow_url, user=USER, password=self.password)

    def start(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Stop what an earlier stack of this home left, start everything and wait until it is healthy.

        Raises:
            StackError: a process ended or is not healthy in time.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        if killed := processes.kill_leftovers(self._home):
            self.notes.append(f"stopped {killed} processes that an earlier run left behind")
        self._choose_ports()
        self._environment = self._airflow_environment()
        self._write_state()
        progress("local SageMaker")
        self.start_sagemaker()
        progress("Airflow's database")
        self._migrate()
        progress("Airflow's processes")
        self.start_airflow()

    def attach(self) -> bool:
        """Use the stack that another process runs in this home; says whether there is a healthy one."""
        path = self._home / "stack.json"
        if not path.exists():
            return False
        state = json.loads(path.read_text())
        self.sagemaker_url, self.airflow_url = state["sagemaker_url"], state["airflow_url"]
        self.password = state["password"]
        self.notes.append("using what an earlier demo keeps up; it stays up")
        return self._healthy()

    def start_sagemaker(self) -> None:
        """Start the local SageMaker on its data directory and wait until it answers."""
        settings = self.settings
        data = self._home / "sagemaker"
        port = self.sagemaker_url.rpartition(":")[2]
        ready = data / "ready.json"
        ready.unlink(missing_ok=True)
        command = [_program("sagemaker-local"), "--port", port, "--data", str(data)]
        command += ["--containers", str(settings.containers_dir), "--region", REGION, "--account", ACCOUNT]
        self._start("sagemaker-local", [*command, *settings.sagemaker_arguments], self._base_environment())
        self._wait(ready.exists, "the local SageMaker", ("sagemaker-local",), SAGEMAKER_START_TIMEOUT_S)

    def start_airflow(self) -> None:
        """Start the four processes of Airflow and wait until each reports healthy."""
        for name in AIRFLOW_SERVICES:
            self._start_airflow_service(name)
        self._wait(self._healthy, "Airflow", AIRFLOW_SERVICES, AIRFLOW_START_TIMEOUT_S)

    def _start_airflow_service(self, name: str) -> None:
        command = [_program("airflow"), name]
        if name == "scheduler":
            # -P: the folder of the script is no place to import from.
            command = [sys.executable, "-P", str(ROOT / "demo" / "warm_scheduler.py")]
        if name == "api-server":
            command += ["--host", "127.0.0.1", "--port", self.airflow_url.rpartition(":")[2]]
        self._start(name, command, self._environment)

    def wait_for_dags(self, dag_ids: set[str], *, timeout_s: float = 60) -> None:
        """Wait until the DAG processor has parsed these DAGs.

        Raises:
            StackError: with the import errors when they do not appear.
        """
        api = self.api
        deadline = time.monotonic() + timeout_s
        while missing := dag_ids - api.dag_ids():
            if time.monotonic() > deadline:
                errors = "\n".join(
                    f"{error['filename']}:\n{error['stack_trace']}" for error in api.import_errors()
                )
                raise StackError(f"not parsed in {timeout_s:.0f} s: {', '.join(sorted(missing))}\n{errors}")
            self.check()
            time.sleep(0.3)

    def airflow(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run an Airflow command in the stack's environment; its output is captured."""
        return subprocess.run(
            [_program("airflow"), *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def check(self) -> None:
        """Look after the processes: a scheduler that ended by itself is started again, as in any deployment.

        Raises:
            StackError: another process has ended by itself, or the scheduler does so again and again.
        """
        for name, service in list(self._services.items()):
            if service.running:
                continue
            if name == "scheduler" and self._scheduler_restarts < SCHEDULER_RESTARTS:
                self._scheduler_restarts += 1
                self.notes.append(f"the scheduler ended by itself and was started again; see {service.log}")
                self._start_airflow_service(name)
                continue
            code = service.process.returncode
            raise StackError(f"{name} ended with {code}; {service.log}:\n{service.last_lines()}")

    def process_id(self, name: str) -> int:
        """Process id of a service."""
        return self._services[name].process.pid

    def stop(self) -> None:
        """Stop everything; nothing of the stack runs afterwards."""
        # The others report their end to the API server and would wait for one that is gone.
        last = ("api-server", "sagemaker-local")
        processes.stop([service for name, service in self._services.items() if name not in last], grace_s=10)
        processes.stop(self._services.values(), grace_s=15)
        self._services.clear()
        processes.kill_leftovers(self._home)
        (self._home / "stack.json").unlink(missing_ok=True)

    def kill(self, *names: str) -> None:
        """SIGKILL to some services, or without names to everything at once, as a power cut would."""
        for name in names or tuple(self._services):
            service = self._services.pop(name)
            service.process.kill()
            service.process.wait()
        if not names:
            processes.kill_leftovers(self._home, grace_s=0)

    def _healthy(self) -> bool:
        health = self.api.health()
        return all(health.get(component) == "healthy" for component in COMPONENTS)

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        self._services[name] = processes.start(name, command, environment=environment, home=self._home)

    def _wait(self, ready: Callable[[], bool], what: str, names: tuple[str, ...], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {name}\n{self._services[name].last_lines()}" for name in names)
                raise StackError(f"{what} is not healthy after {timeout_s} s:\n{logs}")
            time.sleep(0.1)

    def _choose_ports(self) -> None:
        settings = self.settings
        sagemaker = _free_port(settings.sagemaker_port)
        airflow = _free_port(settings.airflow_port)
        for what, wanted, port in (
            ("the local SageMaker", settings.sagemaker_port, sagemaker),
            ("Airflow", settings.airflow_port, airflow),
        ):
            if wanted not in (0, port):
                self.notes.append(f"port {wanted} is taken: {what} listens on {port}")
        self._log_ports = (_free_port(0), _free_port(0))
        self.sagemaker_url = f"http://127.0.0.1:{sagemaker}"
        self.airflow_url = f"http://127.0.0.1:{airflow}"

    def _write_state(self) -> None:
        state = {
            "sagemaker_url": self.sagemaker_url,
            "airflow_url": self.airflow_url,
            "password": self.password,
        }
        path = self._home / "stack.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(state))

    def _migrate(self) -> None:
        """Bring Airflow's database to the installed version; skipped where that was done before."""
        home = self._home / "airflow"
        stamp = home / "migrated"
        version = next(
            (Path(sys.prefix) / "lib").glob("python*/site-packages/apache_airflow_core-*.dist-info")
        ).name
        if stamp.exists() and stamp.read_text() == version and (home / "airflow.db").exists():
            return
        done = self.airflow("db", "migrate", timeout_s=300)
        if done.returncode:
            raise StackError(f"airflow db migrate failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        # Readers and the one writer no longer wait for one another; kept in the file.
        with contextlib.closing(sqlite3.connect(home / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")
        stamp.write_text(version)

    def _base_environment(self) -> dict[str, str]:
        """Ours without settings of other Airflows and AWS accounts: a real account must be out of reach."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "AWS_", "SAGEMAKER_", "SQLALCHEMY_"))
            and name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV")
        }
        path = [str(ROOT / "build" / "uv"), str(Path(sys.executable).parent), environment.get("PATH", "")]
        no_proxy = ",".join(filter(None, (environment.get("no_proxy"), "127.0.0.1,localhost")))
        return environment | {
            "PATH": os.pathsep.join(path),
            "PYTHONUNBUFFERED": "1",
            "no_proxy": no_proxy,
            "NO_PROXY": no_proxy,
        }

    def _airflow_environment(self) -> dict[str, str]:
        home = self._home / "airflow"
        home.mkdir(parents=True, exist_ok=True)
        known = self._secrets(home / "secrets.json")
        self.password = known["password"]
        passwords = home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({USER: self.password}))
        log_port, trigger_log_port = self._log_ports
        sections: dict[str, Mapping[str, object]] = {
            "CORE": {
                "DAGS_FOLDER": self.settings.dags_dir,
                "PLUGINS_FOLDER": ROOT / "plugins",
                "LOAD_EXAMPLES": False,
                "EXECUTOR": "LocalExecutor",
                # 2.0 GB of workers at the default 32.
                "PARALLELISM": 8,
                "MAX_ACTIVE_TASKS_PER_DAG": 8,
                "FERNET_KEY": known["fernet_key"],
                "EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
                "SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
                "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords,
                "MIN_SERIALIZED_DAG_UPDATE_INTERVAL": 2,
            },
            "DATABASE": {"SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout=30"},
            "API": {"BASE_URL": self.airflow_url, "SECRET_KEY": known["secret_key"], "WORKERS": 1},
            "API_AUTH": {"JWT_SECRET": known["jwt_secret"]},
            "SCHEDULER": {
                # A chain of five tasks takes 2 s instead of 6 s.
                "SCHEDULER_IDLE_SLEEP_TIME": 0.1,
                "SCHEDULER_HEARTBEAT_SEC": 2,
                # After a kill, what a dead process held is given out again after this time.
                "SCHEDULER_HEALTH_CHECK_THRESHOLD": 20,
                "ORPHANED_TASKS_CHECK_INTERVAL": 10,
                "TASK_INSTANCE_HEARTBEAT_TIMEOUT": 60,
                "TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 10,
                "TASK_INSTANCE_HEARTBEAT_SEC": 5,
            },
            "TRIGGERER": {"JOB_HEARTBEAT_SEC": 2, "TRIGGERER_HEALTH_CHECK_THRESHOLD": 20},
            "DAG_PROCESSOR": {
                "REFRESH_INTERVAL": 30,
                "MIN_FILE_PROCESS_INTERVAL": 30,
                "PARSING_PROCESSES": 1,
            },
            "LOGGING": {
                "BASE_LOG_FOLDER": home / "logs",
                "WORKER_LOG_SERVER_PORT": log_port,
                "TRIGGER_LOG_SERVER_PORT": trigger_log_port,
                # Two hundred lines about its own decorators at every import.
                "NAMESPACE_LEVELS": "great_expectations=WARNING",
            },
            "USAGE_DATA_COLLECTION": {"ENABLED": False},
        }
        environment = self._base_environment() | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_AWS_SAGEMAKER": json.dumps(self._connection()),
            # The SDK reads its region at import (facts of SDK 3.27), before any session exists.
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for section, options in sections.items():
            for option, value in options.items():
                environment[f"AIRFLOW__{section}__{option}"] = str(value)
        return environment | dict(self.settings.environment)

    def _connection(self) -> dict[str, object]:
        return {
            "conn_type": "aws",
            "login": "nobody",
            # Long enough to be masked in logs, or each task warns that it is not.
            "password": "not-a-secret",
            "extra": {
                "region_name": REGION,
                "endpoint_url": self.sagemaker_url,
                "sagemaker": {
                    "bucket": BUCKET,
                    "role_arn": f"arn:aws:iam::{ACCOUNT}:role/sagemaker",
                    "image_registry": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com",
                    "poll_interval_s": 1,
                },
            },
        }

    @staticmethod
    def _secrets(path: Path) -> dict[str, str]:
        """Made once for a home: a login survives a restart."""
        if path.exists():
            known: dict[str, str] = json.loads(path.read_text())
            return known
        from cryptography.fernet import Fernet

        known = {
            "password": secrets.token_urlsafe(9),
            "fernet_key": Fernet.generate_key().decode(),
            "secret_key": secrets.token_urlsafe(32),
            "jwt_secret": secrets.token_urlsafe(48),
        }
        partial = path.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(known))
        partial.replace(path)
        return known


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _free_port(wanted: int) -> int:
    """The wanted port of loopback if it can be had, else one that the kernel gives."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackError("no free port on 127.0.0.1")
