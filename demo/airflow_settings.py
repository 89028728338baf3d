"""The environment of a stack's Airflow: every setting, and nothing of the other accounts of this machine."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT = "123456789012"
REGION = "us-east-1"
BUCKET = f"sagemaker-{REGION}-{ACCOUNT}"
USER = "admin"
SHORT_JOBS: Mapping[str, object] = {"worker_wait_s": 20}
"""Settings of a connection whose jobs take seconds."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens.

    Attributes:
        sagemaker_url: Endpoint of every AWS service.
        airflow_url: Airflow's UI and API.
        database_url: SQLAlchemy's URL of the metadata database.
        log_port: Where the workers' logs are served.
        trigger_log_port: Where the triggerer's are.
    """

    sagemaker_url: str
    airflow_url: str
    database_url: str
    log_port: int
    trigger_log_port: int


def base_environment() -> dict[str, str]:
    """Ours without settings of other Airflows and AWS accounts: a real account must be out of reach."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "AWS_", "SAGEMAKER_", "SQLALCHEMY_", "PG"))
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


def airflow_environment(
    home: Path,
    addresses: Addresses,
    known: Mapping[str, str],
    dags_dir: Path,
    connection_extra: Mapping[str, object],
    connection_settings: Mapping[str, object],
) -> dict[str, str]:
    """Airflow's environment.

    Args:
        home: Its ``AIRFLOW_HOME``; the file of passwords is written there.
        addresses: Where everything listens.
        known: See :func:`known_secrets`.
        dags_dir: Folder of the DAG files.
        connection_extra: Further extra of the connection.
        connection_settings: Of that, further settings below ``sagemaker``.
    """
    passwords = home / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({USER: known["password"]}))
    connection = _connection(addresses.sagemaker_url, connection_extra, connection_settings)
    environment = base_environment() | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_AWS_SAGEMAKER": json.dumps(connection),
        # The SDK reads its region at import (facts of SDK 3.27), before any session exists.
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for section, options in _sections(home, addresses, known, dags_dir, passwords).items():
        for option, value in options.items():
            environment[f"AIRFLOW__{section}__{option}"] = str(value)
    return environment


def _sections(
    home: Path, addresses: Addresses, known: Mapping[str, str], dags_dir: Path, passwords: Path
) -> Mapping[str, Mapping[str, object]]:
    return {
        "CORE": {
            "DAGS_FOLDER": dags_dir,
            "PLUGINS_FOLDER": ROOT / "plugins",
            "LOAD_EXAMPLES": False,
            "EXECUTOR": "LocalExecutor",
            # 2.0 GB of workers at the default 32.
            "PARALLELISM": 8,
            "MAX_ACTIVE_TASKS_PER_DAG": 8,
            "FERNET_KEY": known["fernet_key"],
            "EXECUTION_API_SERVER_URL": f"{addresses.airflow_url}/execution/",
            "SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords,
            "MIN_SERIALIZED_DAG_UPDATE_INTERVAL": 2,
        },
        "DATABASE": {"SQL_ALCHEMY_CONN": addresses.database_url},
        "API": {"BASE_URL": addresses.airflow_url, "SECRET_KEY": known["secret_key"], "WORKERS": 1},
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
        # By default a worker that finds no API server gives up after some ten seconds, and a try with it.
        "WORKERS": {"EXECUTION_API_RETRIES": 15, "EXECUTION_API_RETRY_WAIT_MAX": 10},
        "TRIGGERER": {"JOB_HEARTBEAT_SEC": 2, "TRIGGERER_HEALTH_CHECK_THRESHOLD": 20},
        "DAG_PROCESSOR": {
            "REFRESH_INTERVAL": 30,
            "MIN_FILE_PROCESS_INTERVAL": 30,
            "PARSING_PROCESSES": 1,
        },
        "LOGGING": {
            "BASE_LOG_FOLDER": home / "logs",
            "WORKER_LOG_SERVER_PORT": addresses.log_port,
            "TRIGGER_LOG_SERVER_PORT": addresses.trigger_log_port,
            # Two hundred lines about its own decorators at every import.
            "NAMESPACE_LEVELS": "great_expectations=WARNING",
        },
        "USAGE_DATA_COLLECTION": {"ENABLED": False},
    }


def _connection(
    sagemaker_url: str, more: Mapping[str, object], settings: Mapping[str, object]
) -> dict[str, object]:
    return {
        "conn_type": "aws",
        "login": "nobody",
        # Long enough to be masked in logs, or each task warns that it is not.
        "password": "not-a-secret",
        "extra": {
            "region_name": REGION,
            "endpoint_url": sagemaker_url,
            "sagemaker": {
                "bucket": BUCKET,
                "role_arn": f"arn:aws:iam::{ACCOUNT}:role/sagemaker",
                "image_registry": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com",
                "poll_interval_s": 1,
                **settings,
            },
            **more,
        },
    }


def known_secrets(path: Path) -> dict[str, str]:
    """Passwords and keys, made once for a home: a login survives a restart."""
    if path.exists():
        known: dict[str, str] = json.loads(path.read_text())
        return known
    from cryptography.fernet import Fernet

    known = {
        "password": secrets.token_urlsafe(9),
        "fernet_key": Fernet.generate_key().decode(),
        "secret_key": secrets.token_urlsafe(32),
        "jwt_secret": secrets.token_urlsafe(48),
        "database_password": secrets.token_hex(16),
    }
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(known))
    partial.replace(path)
    return known
