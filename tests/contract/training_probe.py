"""A server of `images/scripted`, whose jobs run the Python text that a test gives them."""

from __future__ import annotations

import http.client
import io
import json
import os
import tarfile
import textwrap
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import LocalServer

IMAGES = Path(__file__).parent / "images"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/scripted:1"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
BUCKET = "training"
WAIT_S = 300.0


def unique(stem: str) -> str:
    return f"{stem}-{uuid.uuid4().hex[:12]}"


def until(found: Callable[[], Any], wait_s: float = WAIT_S) -> Any:
    """The first true answer of a function."""
    deadline = time.monotonic() + wait_s
    while not (answer := found()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)
    return answer


class Training:
    """Clients of one server, and the calls that every test of jobs makes."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.connect()
        self.s3.create_bucket(Bucket=BUCKET)

    def connect(self) -> None:
        """Clients of the server as it runs now."""
        self.sagemaker = self.server.client("sagemaker")
        self.s3 = self.server.client("s3")
        self.logs = self.server.client("logs")

    def train(self, *scripts: str, **more: Any) -> str:
        """Create a training job that runs scripts, one after the other; returns its name."""
        script = "\n".join(map(textwrap.dedent, scripts))
        request: dict[str, Any] = {
            "TrainingJobName": unique("train"),
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "HyperParameters": {"SCRIPT": json.dumps(script)},
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 300},
            **more,
        }
        self.sagemaker.create_training_job(**request)
        return str(request["TrainingJobName"])

    def process(self, script: str, *, count: int = 1, **more: Any) -> str:
        """Create a processing job that runs a script; returns its name."""
        cluster = {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 5}
        request: dict[str, Any] = {
            "ProcessingJobName": unique("process"),
            "AppSpecification": {"ImageUri": IMAGE},
            "Environment": {"SCRIPT": textwrap.dedent(script)},
            "RoleArn": ROLE,
            "ProcessingResources": {"ClusterConfig": cluster},
            **more,
        }
        self.sagemaker.create_processing_job(**request)
        return str(request["ProcessingJobName"])

    def job(self, name: str) -> dict[str, Any]:
        """What DescribeTrainingJob answers."""
        found: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        return found

    def ended(self, name: str) -> dict[str, Any]:
        """The training job once it is over."""
        until(lambda: self.job(name)["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"))
        return self.job(name)

    def processed(self, name: str) -> dict[str, Any]:
        """The processing job once it is over."""

        def describe() -> dict[str, Any]:
            found: dict[str, Any] = self.sagemaker.describe_processing_job(ProcessingJobName=name)
            return found

        until(lambda: describe()["ProcessingJobStatus"] in ("Completed", "Failed", "Stopped"))
        return describe()

    def said(self, name: str, group: str = "TrainingJobs") -> dict[str, list[str]]:
        """The lines of each host of a job, by log stream without its time."""
        lines: dict[str, list[str]] = {}
        try:
            pages = self.logs.get_paginator("filter_log_events").paginate(
                logGroupName=f"/aws/sagemaker/{group}", logStreamNamePrefix=f"{name}/"
            )
            for page in pages:
                for event in page["events"]:
                    host = event["logStreamName"].removeprefix(f"{name}/").rpartition("-")[0]
                    lines.setdefault(host, []).append(event["message"])
        except self.logs.exceptions.ResourceNotFoundException:
            return {}
        return lines

    def told(self, name: str, group: str = "TrainingJobs") -> dict[str, dict[str, Any]]:
        """What each host said as JSON, all its lines together."""
        told: dict[str, dict[str, Any]] = {}
        for host, lines in self.said(name, group).items():
            for line in lines:
                if line.startswith("{"):
                    told.setdefault(host, {}).update(json.loads(line))
        return told

    def put(self, key: str, body: bytes = b"") -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def get(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in listed]

    def model(self, name: str) -> dict[str, bytes]:
        """The files of a job's model.tar.gz."""
        with tarfile.open(fileobj=io.BytesIO(self.get(f"models/{name}/output/model.tar.gz"))) as tar:
            return {member.name: file.read() for member in tar if (file := tar.extractfile(member))}

    def faults(self, *rules: dict[str, Any]) -> None:
        """Replace the fault plan."""
        host, port = self.server.url.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port))
        connection.request("PUT", "/_local/faults", json.dumps({"rules": rules}))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        connection.close()


def channel(name: str, uri: str, **more: Any) -> dict[str, Any]:
    """A channel; `source` goes to its S3DataSource."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, **more.pop("source", {})}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **more}


def ask_sandboxes(metafunc: pytest.Metafunc, of_the_sandbox: Collection[str]) -> None:
    """Run each test that takes `training` once, and those of these names in every sandbox."""
    if "training" in metafunc.fixturenames:
        sandboxes = ["auto", "unshare"] if metafunc.function.__name__ in of_the_sandbox else ["auto"]
        asked = os.environ.get("TEST_EXECUTOR")
        metafunc.parametrize("training", [asked] if asked else sandboxes, indirect=True)


@pytest.fixture(scope="module")
def training(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Training]:
    """A server with the sandbox that the test is for."""
    data = tmp_path_factory.mktemp("training") / "data"
    server = LocalServer(data, IMAGES, "--executor", request.param, "--stop-grace-s", "5").start()
    yield Training(server)
    server.stop()
