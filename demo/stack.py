"""The local SageMaker and Airflow's four processes, started together on loopback and stopped together.

Used by ``make demo`` and by the end-to-end tests; each stack has a home directory and ports of its own.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from demo import processes
from demo.airflow_api import AirflowApi
from demo.airflow_settings import (
    ACCOUNT,
    BUCKET,
    REGION,
    ROOT,
    USER,
    Addresses,
    airflow_environment,
    base_environment,
    known_secrets,
)
from demo.forked import Forked
from demo.ports import free_port
from demo.postgresql import Postgresql
from demo.services import RESTARTS, Services, StackError

__all__ = [
    "ACCOUNT",
    "BUCKET",
    "COMPONENTS",
    "REGION",
    "ROOT",
    "USER",
    "Stack",
    "StackError",
    "StackSettings",
]

COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
AIRFLOW_SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer")
SECOND_TRIGGERER = "triggerer-2"
SERVICES = ("postgresql", "sagemaker-local", *AIRFLOW_SERVICES, SECOND_TRIGGERER)
"""Everything that a stack may run, in the order of starting."""

WARM = "airflow"
"""The process that the others are forked from, where they are."""

WARM_PROGRAM = str(ROOT / "demo" / "warm_airflow.py")

SAGEMAKER_START_TIMEOUT_S = 180
AIRFLOW_START_TIMEOUT_S = 600
SQLITE_LOOP_TIMEOUT_S = 1
"""How long the API server waits for SQLite's lock."""
POSTGRESQL_START_TIMEOUT_S = 180


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
        connection_extra: Further extra of its connection to the local SageMaker.
        connection_settings: Of that, further settings below ``sagemaker``.
        database: Airflow's metadata database.
        restarted: Services that are started again when they end by themselves, as in any deployment.
        restarts: How often each of them is.
        warm: Fork tasks from a scheduler that has imported what they import.
        forked: Fork Airflow's processes from one that has imported what they all import.
    """

    home: Path
    sagemaker_port: int = 4566
    airflow_port: int = 8080
    containers_dir: Path = ROOT / "containers"
    dags_dir: Path = ROOT / "dags"
    sagemaker_arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    connection_extra: Mapping[str, object] = field(default_factory=dict)
    connection_settings: Mapping[str, object] = field(default_factory=dict)
    database: Literal["sqlite", "postgresql"] = "sqlite"
    restarted: tuple[str, ...] = ("scheduler",)
    restarts: int = RESTARTS
    warm: bool = True
    forked: bool = False


class Stack(Services):
    """One local SageMaker and one Airflow.

    Attributes:
        settings: What it is started with.
        sagemaker_url: Endpoint of every AWS service.
        airflow_url: Airflow's UI and API.
        password: Of the user ``admin``.
    """

    def __init__(self, settings: StackSettings) -> None:
        super().__init__(settings.home.resolve(), restarted=settings.restarted, restarts=settings.restarts)
        self.settings = settings
        self.sagemaker_url = ""
        self.airflow_url = ""
        self.password = ""
        self._environment: dict[str, str] = {}
        self._database: Postgresql | None = None
        self._forked = Forked(self._home)

    @property
    def api(self) -> AirflowApi:
        """A client of this stack's Airflow."""
        return AirflowApi(self.airflow_url, user=USER, password=self.password)

    def start(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Stop what an earlier stack of this home left, start everything and wait until it is healthy.

        Raises:
            StackError: a process ended or is not healthy in time.
        """
        self.begin(progress)
        progress("Airflow's processes")
        self.wait_until_healthy()

    def begin(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """The same, but come back when the local SageMaker answers and Airflow is on its way.

        Raises:
            StackError: a process ended or is not there in time.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        if killed := processes.kill_leftovers(self._home):
            self.notes.append(f"stopped {killed} processes that an earlier run left behind")
        self._choose_ports()
        self._environment = self._airflow_environment()
        self._write_state()
        self._launch_sagemaker()
        if self.settings.forked:
            self._launch_forked()
        progress("Airflow's database")
        self._start_database()
        self._migrate()
        if self.settings.forked:
            self._forked.go()
        else:
            self._import_pools()
            self._launch_airflow()
        progress("local SageMaker")
        self._wait_for_sagemaker()

    def attach(self) -> bool:
        """Use the stack that another process runs in this home; says whether there is a healthy one."""
        try:
            state = json.loads((self._home / "stack.json").read_text())
        except FileNotFoundError:
            return False
        self.sagemaker_url, self.airflow_url = state["sagemaker_url"], state["airflow_url"]
        self.password = state["password"]
        self.notes.append("using what an earlier demo keeps up; it stays up")
        return self._healthy()

    def start_sagemaker(self) -> None:
        """Start the local SageMaker on its data directory and wait until it answers."""
        self._launch_sagemaker()
        self._wait_for_sagemaker()

    def _launch_sagemaker(self) -> None:
        settings = self.settings
        data = self._home / "sagemaker"
        port = self.sagemaker_url.rpartition(":")[2]
        (data / "ready.json").unlink(missing_ok=True)
        command = [_program("sagemaker-local"), "--port", port, "--data", str(data)]
        command += ["--containers", str(settings.containers_dir), "--region", REGION, "--account", ACCOUNT]
        self._start("sagemaker-local", [*command, *settings.sagemaker_arguments], base_environment())

    def _wait_for_sagemaker(self) -> None:
        ready = self._home / "sagemaker" / "ready.json"
        self._wait(ready.exists, "the local SageMaker", ("sagemaker-local",), SAGEMAKER_START_TIMEOUT_S)

    def start_airflow(self) -> None:
        """Start the processes of Airflow, and its database where that is down; wait until each is healthy."""
        self._start_database()
        self._launch_airflow()
        self.wait_until_healthy()

    def _launch_airflow(self) -> None:
        for name in AIRFLOW_SERVICES:
            if name not in self._services:
                self._start_airflow_service(name)

    def _launch_forked(self) -> None:
        """Start the process that Airflow's are forked from; it imports while the database is made ready."""
        include = self._quotas_folder()
        plan = self._forked.plan(
            {
                name: (self._airflow_arguments(name), self._more_environment(name))
                for name in AIRFLOW_SERVICES
            },
            first=_pools(include) if include else None,
        )
        command = [sys.executable, "-P", WARM_PROGRAM, "--fork", str(plan)]
        self._start(WARM, command, self._environment)

    def wait_until_healthy(self, *, timeout_s: float = AIRFLOW_START_TIMEOUT_S) -> None:
        """Wait until every process of Airflow reports healthy.

        Raises:
            StackError: a process ended, or is not healthy in time; with the ends of their logs.
        """
        self._wait(self._healthy, "Airflow", AIRFLOW_SERVICES, timeout_s)

    def _start_airflow_service(self, name: str) -> None:
        command = [_program("airflow")]
        if name == "scheduler" and self.settings.warm:
            # -P: the folder of the script is no place to import from.
            command = [sys.executable, "-P", WARM_PROGRAM]
        environment = self._environment | self._more_environment(name)
        self._start(name, [*command, *self._airflow_arguments(name)], environment)

    def _more_environment(self, name: str) -> dict[str, str]:
        """What only this service needs."""
        if name != "api-server" or self._database is not None:
            return {}
        # It writes to its log of actions on its event loop (Airflow 3.3.2), where a wait for SQLite keeps the
        # call that holds the lock from ending: both stand still until this time is up, and are tried again.
        variable = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
        url = self._environment[variable].replace("timeout=30", f"timeout={SQLITE_LOOP_TIMEOUT_S}")
        return {variable: url}

    def _airflow_arguments(self, name: str) -> list[str]:
        if name == "api-server":
            return [name, "--host", "127.0.0.1", "--port", self.airflow_url.rpartition(":")[2]]
        if name == SECOND_TRIGGERER:
            # Its logs lie in the same folder; one server of them is enough.
            return ["triggerer", "--skip-serve-logs"]
        return [name]

    def _start_database(self) -> None:
        if self._database is None or "postgresql" in self._services:
            return
        environment = base_environment()
        self._database.initialise(environment)
        self._services["postgresql"] = self._database.start(environment)
        self._wait(self._database.ready, "PostgreSQL", ("postgresql",), POSTGRESQL_START_TIMEOUT_S)

    def start_service(self, name: str) -> None:
        """Start a service that is down; does not wait for Airflow's to be healthy."""
        if name == "postgresql":
            self._start_database()
        elif name == "sagemaker-local":
            self.start_sagemaker()
        else:
            self._start_airflow_service(name)

    def wait_for_dags(self, dag_ids: set[str], *, timeout_s: float = 300) -> None:
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

    def airflow(self, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run an Airflow command in the stack's environment; its output is captured."""
        return subprocess.run(
            [_program("airflow"), *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def stop(self) -> None:
        """Stop everything; nothing of the stack runs afterwards."""
        # The others report their end to the API server and would wait for one that is gone.
        self._stop_all("api-server", WARM, "sagemaker-local", "postgresql", grace_s=10)
        (self._home / "stack.json").unlink(missing_ok=True)

    def _healthy(self) -> bool:
        if WARM in self._services:
            self._services |= self._forked.adopted()
            if self._forked.first_failed:
                log = self._forked.log("first")
                raise StackError(f"the pools of {self._quotas_folder()} cannot be imported; see {log}")
        health = self.api.health()
        return all(health.get(component) == "healthy" for component in COMPONENTS)

    def _choose_ports(self) -> None:
        settings = self.settings
        sagemaker = free_port(settings.sagemaker_port)
        airflow = free_port(settings.airflow_port)
        for what, wanted, port in (
            ("the local SageMaker", settings.sagemaker_port, sagemaker),
            ("Airflow", settings.airflow_port, airflow),
        ):
            if wanted not in (0, port):
                self.notes.append(f"port {wanted} is taken: {what} listens on {port}")
        self.sagemaker_url = f"http://127.0.0.1:{sagemaker}"
        self.airflow_url = f"http://127.0.0.1:{airflow}"

    def _write_state(self) -> None:
        state = {
            "sagemaker_url": self.sagemaker_url,
            "airflow_url": self.airflow_url,
            "password": self.password,
        }
        # Whole or not at all: another demo may be reading it.
        partial = self._home / "stack.json.partial"
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(state))
        partial.replace(self._home / "stack.json")

    def _migrate(self) -> None:
        """Bring Airflow's database to the installed version; skipped where that was done before."""
        home = self._home / "airflow"
        stamp = home / "migrated"
        version = next(
            (Path(sys.prefix) / "lib").glob("python*/site-packages/apache_airflow_core-*.dist-info")
        ).name
        done_before = stamp.exists() and stamp.read_text() == version
        if done_before and (self._database is not None or (home / "airflow.db").exists()):
            return
        done = self.airflow("db", "migrate", timeout_s=600)
        if done.returncode:
            raise StackError(f"airflow db migrate failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        if self._database is None:
            # Readers and the one writer no longer wait for one another; kept in the file.
            with contextlib.closing(sqlite3.connect(home / "airflow.db")) as database:
                database.execute("PRAGMA journal_mode=WAL")
        stamp.write_text(version)

    def _import_pools(self) -> None:
        """The pools of the specs' ``quotas.yaml``: a task whose pool is missing would never start."""
        include = self._quotas_folder()
        if include is None:
            return
        command = [sys.executable, "-m", "airflow_sagemaker", *_pools(include)]
        done = subprocess.run(
            command,
            env={**self._environment, "PYTHONPATH": str(ROOT / "plugins")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            raise StackError(f"the pools of {include} cannot be imported:\n{done.stdout}\n{done.stderr}")

    def _quotas_folder(self) -> Path | None:
        include = self.settings.dags_dir.parent / "include"
        return include if (include / "quotas.yaml").exists() else None

    def _airflow_environment(self) -> dict[str, str]:
        home = self._home / "airflow"
        home.mkdir(parents=True, exist_ok=True)
        known = known_secrets(home / "secrets.json")
        self.password = known["password"]
        database_url = f"sqlite:///{home / 'airflow.db'}?timeout=30"
        if self.settings.database == "postgresql":
            self._database = Postgresql(self._home, free_port(), known["database_password"])
            database_url = self._database.url
        addresses = Addresses(self.sagemaker_url, self.airflow_url, database_url, free_port(), free_port())
        given = self.settings
        environment = airflow_environment(
            home, addresses, known, given.dags_dir, given.connection_extra, given.connection_settings
        )
        return environment | dict(given.environment)


def _pools(include: Path) -> list[str]:
    return ["pools", "--include", str(include), "--apply"]


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)
