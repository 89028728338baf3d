"""A server of `images/model-probe`, whose container does what the content type of a request says."""

from __future__ import annotations

import io
import os
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import LocalServer

IMAGES = Path(__file__).parent / "images"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
IMAGE = f"{REGISTRY}/model-probe:latest"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
BUCKET = "probe-models"
OFTEN = {"Delay": 1, "MaxAttempts": 60}
PING_TIMEOUT_S = 30
"""A busy machine needs seconds for a container that imports much; who never comes up costs a test so long."""
WAIT_S = 180.0


def unique(stem: str) -> str:
    return f"{stem}-{uuid.uuid4().hex[:12]}"


def artefact(version: str) -> bytes:
    """A model.tar.gz whose model answers with a version."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("version.txt")
        member.size = len(version)
        archive.addfile(member, io.BytesIO(version.encode()))
    return packed.getvalue()


def eventually(holds: Callable[[], Any], wait_s: float = WAIT_S) -> Any:
    """The first true answer of a function."""
    deadline = time.monotonic() + wait_s
    while not (answer := holds()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
    return answer


class Probe:
    """Clients of one server, and the few calls that every test of serving makes."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.connect()
        self.s3.create_bucket(Bucket=BUCKET)

    def connect(self) -> None:
        """Clients of the server as it runs now."""
        self.s3 = self.server.client("s3")
        self.sagemaker = self.server.client("sagemaker")
        self.logs = self.server.client("logs")
        # One attempt: what a caller sees must not depend on a client that tries again.
        self.runtime = self.server.client(
            "sagemaker-runtime", retries={"total_max_attempts": 1}, max_pool_connections=32
        )

    def model(self, version: str = "v1", *, image: str = IMAGE, **environment: str) -> str:
        name = unique("model")
        uri = f"s3://{BUCKET}/{name}.tar.gz"
        self.s3.put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=artefact(version))
        container = {"Image": image, "ModelDataUrl": uri, "Environment": environment}
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        return name

    def config(self, model: str | None = None, **variant: Any) -> str:
        name = unique("config")
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[self.variant(model or self.model(), **variant)]
        )
        return name

    @staticmethod
    def variant(model: str, **more: Any) -> dict[str, Any]:
        variant = {"VariantName": "AllTraffic", "ModelName": model, "InstanceType": "ml.m5.large"}
        return {**variant, "InitialInstanceCount": 1, **more}

    def endpoint(self, config: str | None = None, *, wait: bool = True) -> str:
        name = unique("endpoint")
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config or self.config())
        if wait:
            self.wait(name)
        return name

    def wait(self, endpoint: str) -> dict[str, Any]:
        """The endpoint once it serves; botocore's own waiter looks once a second only."""
        described = self.ended(endpoint)
        assert described["EndpointStatus"] == "InService", described.get("FailureReason")
        return described

    def ended(self, endpoint: str) -> dict[str, Any]:
        """The endpoint once nothing is in progress."""
        settled = ("InService", "Failed")
        eventually(lambda: self.describe(endpoint)["EndpointStatus"] in settled)
        return self.describe(endpoint)

    def describe(self, endpoint: str) -> dict[str, Any]:
        described: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=endpoint)
        return described

    def delete(self, endpoint: str) -> None:
        self.sagemaker.delete_endpoint(EndpointName=endpoint)

        def gone() -> bool:
            try:
                self.describe(endpoint)
            except ClientError:
                return True
            return False

        eventually(gone)

    def ask(self, endpoint: str, what: str = "text/csv", body: bytes = b"", **more: Any) -> bytes:
        """Invoke; `what` is a content type or the last part of one of the image's own."""
        content_type = what if "/" in what else f"application/x-{what}"
        answer = self.runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType=content_type, Body=body, **more
        )
        read: bytes = answer["Body"].read()
        return read

    def gate(self) -> str:
        """Where containers wait (`WAIT_FOR`), or requests (`hold`), until `open_gate`."""
        return f"{BUCKET}/{unique('gate')}"

    def open_gate(self, gate: str) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=gate.removeprefix(f"{BUCKET}/"), Body=b"open")

    def close_gate(self, gate: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=gate.removeprefix(f"{BUCKET}/"))

    def process(self, endpoint: str) -> int:
        """Process id on this machine of an endpoint's only container."""
        inside = self.ask(endpoint, "namespace").decode()
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                serves = b"/opt/program/serve" in (directory / "cmdline").read_bytes().split(b"\0")
                if serves and os.readlink(directory / "ns" / "pid") == inside:
                    return int(directory.name)
            except OSError:
                continue
        raise AssertionError("the container has no process")

    def printed(self, endpoint: str) -> list[str]:
        """Everything in an endpoint's log group; nothing before its first line is in the store."""
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        try:
            events = self.logs.filter_log_events(logGroupName=group)["events"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in events]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """A server of its own for each module, with endpoints that give up soon."""
    data = tmp_path_factory.mktemp("probe") / "data"
    server = LocalServer(data, IMAGES, "--ping-timeout-s", str(PING_TIMEOUT_S), "--stop-grace-s", "5").start()
    yield Probe(server)
    server.stop()
