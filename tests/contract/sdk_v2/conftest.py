"""The SageMaker SDK 2.x in an environment of its own, made once, and programs that use it as people do."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contract.conftest import LocalServer

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
UV = ROOT / "build" / "uv" / "uv"
REQUIREMENTS = HERE / "requirements.txt"
CLIENT_TIMEOUT_S = 2700

Client = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    """An interpreter that has the SDK; installed again when its requirements change."""
    venv = ROOT / "build" / "venvs" / "sdk-v2"
    stamp = venv / "requirements.sha256"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + str(venv).encode()).hexdigest()
    venv.parent.mkdir(parents=True, exist_ok=True)
    with venv.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            subprocess.run([UV, "venv", "--quiet", "--clear", "--python", sys.executable, venv], check=True)
            install: list[str | Path] = [UV, "pip", "install", "--quiet", "--no-deps", "--compile-bytecode"]
            subprocess.run([*install, "--python", venv / "bin" / "python", "-r", REQUIREMENTS], check=True)
            stamp.write_text(wanted)
    return venv / "bin" / "python"


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Iris and handwritten digits as CSV, the label first and no header line."""
    from sklearn.datasets import load_digits, load_iris
    from sklearn.utils import shuffle

    directory = tmp_path_factory.mktemp("sdk-v2-data")
    for name, load in (("iris", load_iris), ("digits", load_digits)):
        features, labels = shuffle(*load(return_X_y=True), random_state=0)
        table = np.column_stack([labels, features])
        cut = len(table) * 4 // 5
        for part, rows in (("train", table[:cut]), ("validation", table[cut:])):
            folder = directory / name / part
            folder.mkdir(parents=True)
            np.savetxt(folder / "data.csv", rows, delimiter=",", fmt="%g")
    return directory


@pytest.fixture(scope="session")
def sdk_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A server for the programs of this tier; what they leave running ends with it."""
    home = tmp_path_factory.mktemp("sdk-v2")
    running = LocalServer(home / "data", ROOT / "containers", "--stop-grace-s", "5").start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def client(
    sdk_python: Path, sdk_server: LocalServer, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Client:
    """Run a program of `clients/` to its end; gives what it found."""
    home = tmp_path_factory.mktemp("sdk-v2-home")
    configuration = home / "config.yaml"
    configuration.write_text(
        "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": sdk_server.url,
        "HOME": str(home),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(configuration),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "PYTHONPATH": str(HERE),
    }

    def run(name: str, *arguments: str) -> dict[str, Any]:
        bucket = f"sdk-{uuid.uuid4().hex[:12]}"
        command: list[str | Path] = [sdk_python, "-m", f"clients.{name}", bucket, data, *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            timeout=CLIENT_TIMEOUT_S,
        )
        said = f"{done.stdout[-12000:]}\n{done.stderr[-6000:]}"
        assert done.returncode == 0, said
        found: dict[str, Any] = json.loads(done.stdout.rpartition("FOUND ")[2])
        return found | {"output": done.stdout}

    return run
