"""The AWS command line, in its own words, against the local SageMaker.

It pins botocore, so it lives in an environment of its own, made once from requirements-awscli.txt.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import Probe, probe

__all__ = ["probe"]

ROOT = Path(__file__).parents[2]
UV = ROOT / "build" / "uv" / "uv"
REQUIREMENTS = Path(__file__).with_name("requirements-awscli.txt")
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"

Aws = Callable[..., str]


@pytest.fixture(scope="session")
def aws_program() -> Path:
    """The `aws` command; installed again when its requirements change."""
    venv = ROOT / "build" / "venvs" / "awscli"
    stamp = venv / "requirements.sha256"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + str(venv).encode()).hexdigest()
    venv.parent.mkdir(parents=True, exist_ok=True)
    with venv.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests of another file may want it at the same time
        if not stamp.exists() or stamp.read_text() != wanted:
            subprocess.run([UV, "venv", "--quiet", "--clear", "--python", sys.executable, venv], check=True)
            install: list[str | Path] = [UV, "pip", "install", "--quiet", "--no-deps", "--compile-bytecode"]
            subprocess.run([*install, "--python", venv / "bin" / "python", "-r", REQUIREMENTS], check=True)
            stamp.write_text(wanted)
    return venv / "bin" / "aws"


@pytest.fixture(scope="session")
def aws(aws_program: Path, server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Aws:
    """Run a command of the AWS CLI; a failure shows what it said."""
    home = tmp_path_factory.mktemp("aws-home")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
    }

    def run(*arguments: str | Path, url: str = server.url) -> str:
        done = subprocess.run(
            [aws_program, "--endpoint-url", url, "--output", "json", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=600,  # its waiters look once a minute
        )
        assert done.returncode == 0, f"aws {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


def test_s3_copies_lists_and_removes(aws: Aws, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "data.csv"
    source.write_bytes(os.urandom(100_000))
    uri = f"s3://{bucket}/a b/dätä+1.csv"
    aws("s3", "cp", source, uri)
    assert "dätä+1.csv" in aws("s3", "ls", f"s3://{bucket}/a b/")
    back = tmp_path / "back.csv"
    aws("s3", "cp", uri, back)
    assert back.read_bytes() == source.read_bytes()
    aws("s3", "rm", uri)
    assert aws("s3", "ls", f"s3://{bucket}", "--recursive") == ""


def test_s3_copies_large_files_in_parts(aws: Aws, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(20 * 1024 * 1024))
    aws("s3", "cp", source, f"s3://{bucket}/large.bin")
    head = json.loads(aws("s3api", "head-object", "--bucket", bucket, "--key", "large.bin"))
    assert head["ContentLength"] == source.stat().st_size
    assert head["ETag"].strip('"').endswith("-3")
    back = tmp_path / "back.bin"
    aws("s3", "cp", f"s3://{bucket}/large.bin", back)
    assert back.read_bytes() == source.read_bytes()


def test_s3_sync_moves_only_what_differs(aws: Aws, bucket: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("one", "two/three", "two/four"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (1_700_000_000,) * 2)  # S3 tells whole seconds: a file of this second looks newer
    first = aws("s3", "sync", folder, f"s3://{bucket}/folder")
    assert first.count("upload:") == 3
    assert aws("s3", "sync", folder, f"s3://{bucket}/folder") == ""
    (folder / "two" / "four").unlink()
    assert aws("s3", "sync", folder, f"s3://{bucket}/folder", "--delete").count("delete:") == 1
    back = tmp_path / "back"
    aws("s3", "sync", f"s3://{bucket}/folder", back)
    assert sorted(path.relative_to(back).as_posix() for path in back.rglob("*") if path.is_file()) == [
        "one",
        "two/three",
    ]


def test_s3_presigned_addresses_can_be_fetched(aws: Aws, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "shared.txt"
    source.write_text("shared")
    aws("s3", "cp", source, f"s3://{bucket}/shared.txt")
    address = aws("s3", "presign", f"s3://{bucket}/shared.txt").strip()
    answer = httpx.get(address, trust_env=False, timeout=60)
    assert (answer.status_code, answer.content) == (200, b"shared")


@pytest.fixture(scope="session")
def finished_job(aws: Aws) -> dict[str, Any]:
    """A processing job that fails with a reason at once: its image is ours, its input is missing."""
    name = f"cli-{time.time_ns()}"
    aws("s3", "mb", f"s3://{name}")
    aws(
        "sagemaker", "create-processing-job",
        "--processing-job-name", name,
        "--role-arn", ROLE,
        "--app-specification", json.dumps(
            {
                "ImageUri": f"{REGISTRY}/digits-prepare:latest",
                "ContainerEntrypoint": ["python", "-c", "print('hello from the job')"],
            }
        ),
        "--processing-resources", json.dumps(
            {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}}
        ),
    )  # fmt: skip
    aws("sagemaker", "wait", "processing-job-completed-or-stopped", "--processing-job-name", name)
    job: dict[str, Any] = json.loads(
        aws("sagemaker", "describe-processing-job", "--processing-job-name", name)
    )
    return job


def test_sagemaker_runs_describes_and_lists_a_job(aws: Aws, finished_job: dict[str, Any]) -> None:
    assert finished_job["ProcessingJobStatus"] == "Completed", finished_job.get("FailureReason")
    name = finished_job["ProcessingJobName"]
    listed = json.loads(aws("sagemaker", "list-processing-jobs", "--name-contains", name))
    assert [job["ProcessingJobName"] for job in listed["ProcessingJobSummaries"]] == [name]


@pytest.mark.parametrize(
    "noun",
    [
        "training-jobs",
        "processing-jobs",
        "compilation-jobs",
        "transform-jobs",
        "models",
        "endpoint-configs",
        "endpoints",
        "model-package-groups",
    ],
)
def test_sagemaker_lists(aws: Aws, noun: str) -> None:
    (summaries,) = (
        value for key, value in json.loads(aws("sagemaker", f"list-{noun}")).items() if key != "NextToken"
    )
    assert isinstance(summaries, list)


def test_logs_of_a_job_can_be_read(aws: Aws, finished_job: dict[str, Any]) -> None:
    group = "/aws/sagemaker/ProcessingJobs"
    streams = json.loads(
        aws(
            "logs", "describe-log-streams", "--log-group-name", group,
            "--log-stream-name-prefix", finished_job["ProcessingJobName"],
        )
    )["logStreams"]  # fmt: skip
    (stream,) = [stream["logStreamName"] for stream in streams]
    arguments = ("--log-group-name", group, "--log-stream-name", stream, "--start-from-head")
    events = json.loads(aws("logs", "get-log-events", *arguments))["events"]
    assert "hello from the job" in [event["message"] for event in events]


def test_an_endpoint_can_be_asked(aws: Aws, probe: Probe, tmp_path: Path) -> None:
    name = probe.endpoint()
    body, answer = tmp_path / "body", tmp_path / "answer"
    body.write_bytes(b"1,2\n")
    described = json.loads(
        aws(
            "sagemaker-runtime", "invoke-endpoint", "--endpoint-name", name,
            "--content-type", "text/csv", "--body", f"fileb://{body}", answer,
            url=probe.server.url,
        )
    )  # fmt: skip
    assert described["InvokedProductionVariant"] == "AllTraffic"
    assert answer.read_bytes() == probe.ask(name, body=b"1,2\n")


def test_sts_says_who_is_asking(aws: Aws) -> None:
    assert json.loads(aws("sts", "get-caller-identity"))["Account"] == "123456789012"


def test_a_refusal_is_shown_as_aws_words_it(aws_program: Path, server: LocalServer) -> None:
    done = subprocess.run(
        [
            aws_program, "--endpoint-url", server.url, "--region", "us-east-1",
            "sagemaker", "describe-training-job", "--training-job-name", "nobody",
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        timeout=300,
    )  # fmt: skip
    assert done.returncode != 0
    assert "An error occurred (ValidationException) when calling the DescribeTrainingJob" in done.stderr
