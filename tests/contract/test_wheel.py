"""The wheel alone: installed into an empty environment, one command, and any AWS client works."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "containers" / "sagemaker-local"
UV = ROOT / "build" / "uv" / "uv"
VENV = ROOT / "build" / "venvs" / "wheel"
PACKAGE = "sagemaker_local"
START_TIMEOUT_S = 120.0
OFTEN = {"Delay": 1, "MaxAttempts": 120}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", out, PROJECT], check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def program(wheel: Path) -> Path:
    """The `sagemaker-local` command; its environment is made anew when what the wheel asks for changes."""
    asked = [PROJECT / "pyproject.toml", PROJECT / "requirements.txt"]
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in asked) + str(VENV).encode()).hexdigest()
    stamp = VENV / "requirements.sha256"
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([UV, "venv", "--quiet", "--clear", "--python", sys.executable, VENV], check=True)
    # What the wheel itself asks for, in versions that are known to be there.
    install: list[str | Path] = [UV, "pip", "install", "--quiet", "--python", VENV / "bin" / "python"]
    install += ["--compile-bytecode", "--reinstall-package", "sagemaker-local"]
    subprocess.run([*install, "--constraint", PROJECT / "requirements.txt", wheel], check=True)
    stamp.write_text(wanted)
    return VENV / "bin" / "sagemaker-local"


@pytest.fixture(scope="module")
def url(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the command listens, started as a person would: in a folder of theirs."""
    home = tmp_path_factory.mktemp("anywhere")
    image = home / "containers" / "hello"
    image.mkdir(parents=True)
    (image / "Dockerfile").write_text(
        'FROM python:3.11-slim\nCOPY hello.py /opt/program/\nENTRYPOINT ["python", "/opt/program/hello.py"]\n'
    )
    (image / "hello.py").write_text("print('hello from an image of my own')\n")
    foreign = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    log = home / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [program, "--port", "0"],
            cwd=home,
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    ready = home / "sagemaker-local-data" / "ready.json"
    deadline = time.monotonic() + START_TIMEOUT_S
    try:
        while not ready.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"sagemaker-local did not start:\n{log.read_text()[-4000:]}")
            time.sleep(0.05)
        yield json.loads(ready.read_text())["url"]
    finally:
        server.terminate()
        server.wait(60)


def client(service: str, url: str) -> Any:
    session: Any = boto3.session.Session()
    return session.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(s3={"addressing_style": "path"}),
    )


def test_the_wheel_holds_every_file_of_the_package(wheel):
    source = PROJECT / "src"
    wanted = {
        str(path.relative_to(source))
        for path in (source / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith(f"{PACKAGE}/")}
    assert wanted <= held


def test_it_needs_nothing_that_it_does_not_ask_for(program):
    check = subprocess.run(
        [UV, "pip", "check", "--python", VENV / "bin" / "python"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr
    there = subprocess.run([program, "--help"], capture_output=True, text=True, cwd="/", check=True).stdout
    assert "usage: sagemaker-local" in there


def test_a_client_of_aws_runs_a_job(url):
    client("s3", url).create_bucket(Bucket="bucket")
    sagemaker = client("sagemaker", url)
    sagemaker.create_processing_job(
        ProcessingJobName="hello",
        AppSpecification={"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/hello:1"},
        RoleArn="arn:aws:iam::123456789012:role/sagemaker",
        ProcessingResources={
            "ClusterConfig": {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
    )
    sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
        ProcessingJobName="hello", WaiterConfig=OFTEN
    )
    described = sagemaker.describe_processing_job(ProcessingJobName="hello")
    assert described["ProcessingJobStatus"] == "Completed", described.get("FailureReason")
    events = client("logs", url).filter_log_events(logGroupName="/aws/sagemaker/ProcessingJobs")["events"]
    assert events[-1]["message"] == "hello from an image of my own"
    assert client("sts", url).get_caller_identity()["Account"] == "123456789012"
    assert client("iam", url).list_roles()["Roles"] is not None
