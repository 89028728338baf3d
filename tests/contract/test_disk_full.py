"""A data directory on a disk that is full: errors that say so, nothing corrupt, and it goes on."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import ROOT, LocalServer
from tests.contract.power_cut import intact, orphan_blobs
from tests.contract.serving_probe import artefact

MIB = 1024 * 1024
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"


@pytest.fixture
def full(tmp_path: Path) -> Iterator[LocalServer]:
    """A server whose data directory has 48 MiB, with a bucket and a log stream in it."""
    data = tmp_path / "small" / "data"
    data.parent.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(data.parent)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small file system needs root and mount: {done.stderr.strip()}")
    images = ROOT / "tests" / "contract" / "images"
    server = LocalServer(data, images, "--jobs", "2", "--stop-grace-s", "2")
    server.log = tmp_path / "server.log"
    try:
        server.start()
        s3, logs = server.client("s3"), server.client("logs")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="kept", Body=b"kept" * 1000)
        logs.create_log_group(logGroupName="g")
        logs.create_log_stream(logGroupName="g", logStreamName="s")
        yield server
    finally:
        server.stop()
        subprocess.run(["umount", "-l", str(data.parent)], check=False)


def fill(server: LocalServer) -> Path:
    """Leave no free block."""
    path = server.data.parent / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return path


def once(server: LocalServer, service: str) -> Any:
    return server.client(service, retries={"total_max_attempts": 1})


def refused(call: Callable[[], Any]) -> ClientError:
    """The first error; some writes still find room within blocks that are taken already."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            call()
        except ClientError as error:
            return error
    raise AssertionError("it was never refused")


def eventually(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


def test_every_store_says_so_and_recovers(full: LocalServer) -> None:
    s3, sagemaker, logs = (once(full, name) for name in ("s3", "sagemaker", "logs"))
    filler = fill(full)
    big = os.urandom(MIB)
    error = refused(lambda: s3.put_object(Bucket="bucket", Key="new", Body=big))
    assert error.response["Error"]["Code"] == "InsufficientStorage"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 507

    def group() -> None:
        name = f"g-{uuid.uuid4().hex}"
        sagemaker.create_model_package_group(
            ModelPackageGroupName=name, ModelPackageGroupDescription="d" * 1000
        )
        kept.append(name)

    def log() -> None:
        at = int(time.time() * 1000)
        message = uuid.uuid4().hex * 300
        events = [{"timestamp": at, "message": message}]
        logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=events)
        written.append(message)

    kept: list[str] = []
    written: list[str] = []
    for call in (group, log):
        error = refused(call)
        assert "disk of the local SageMaker's data directory is full" in str(error)

    # What was there is there, and reading goes on.
    assert s3.get_object(Bucket="bucket", Key="kept")["Body"].read() == b"kept" * 1000
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="bucket", Key="new")
    assert not list((full.data / "s3" / "tmp").iterdir())
    assert httpx.get(f"{full.url}/_local/health", timeout=60).status_code == 200
    full.kill()
    filler.unlink()
    full.start()
    s3, sagemaker, logs = (once(full, name) for name in ("s3", "sagemaker", "logs"))
    for name in kept:
        sagemaker.describe_model_package_group(ModelPackageGroupName=name)
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName="g")
    found = {event["message"] for page in pages for event in page["events"]}
    assert set(written) <= found
    group()
    log()
    s3.put_object(Bucket="bucket", Key="new", Body=big)
    assert s3.get_object(Bucket="bucket", Key="new")["Body"].read() == big
    eventually(lambda: not orphan_blobs(full.data))
    full.stop()
    assert set(intact(full.data).values()) == {"ok"}


def test_without_a_restart_it_goes_on_as_well(full: LocalServer) -> None:
    sagemaker, s3 = once(full, "sagemaker"), once(full, "s3")
    filler = fill(full)
    number = iter(range(10_000))
    refused(
        lambda: sagemaker.create_model_package_group(
            ModelPackageGroupName=f"g-{next(number)}", ModelPackageGroupDescription="d" * 1000
        )
    )
    filler.unlink()
    for name in ("after-1", "after-2"):
        sagemaker.create_model_package_group(ModelPackageGroupName=name)
    s3.put_object(Bucket="bucket", Key="after", Body=b"1")
    full.kill()  # what was answered after the disk was full must not hang in a transaction that never ends
    full.start()
    names = [g["ModelPackageGroupName"] for g in once(full, "sagemaker").list_model_package_groups(
        NameContains="after")["ModelPackageGroupSummaryList"]]  # fmt: skip
    assert sorted(names) == ["after-1", "after-2"]
    assert once(full, "s3").get_object(Bucket="bucket", Key="after")["Body"].read() == b"1"


def test_metrics_that_were_taken_are_kept_and_the_others_are_refused(full: LocalServer) -> None:
    cloudwatch = once(full, "cloudwatch")
    taken: list[str] = []

    def put() -> None:
        names = [f"{uuid.uuid4().hex * 4}" for _ in range(100)]
        cloudwatch.put_metric_data(
            Namespace="Tests", MetricData=[{"MetricName": name, "Value": 1.0} for name in names]
        )
        taken.extend(names)

    put()
    filler = fill(full)
    error = refused(put)
    assert "disk of the local SageMaker's data directory is full" in str(error)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    filler.unlink()
    put()  # it goes on by itself
    full.kill()
    full.start()
    pages = once(full, "cloudwatch").get_paginator("list_metrics").paginate(Namespace="Tests")
    assert set(taken) <= {metric["MetricName"] for page in pages for metric in page["Metrics"]}


def test_a_job_and_a_model_that_do_not_fit(full: LocalServer) -> None:
    s3, sagemaker = once(full, "s3"), once(full, "sagemaker")
    s3.put_object(Bucket="bucket", Key="in/data", Body=os.urandom(8 * MIB))
    s3.put_object(Bucket="bucket", Key="model.tar.gz", Body=artefact("x" * 30_000_000))
    left = os.statvfs(full.data)
    ballast = full.data.parent / "ballast"
    ballast.write_bytes(b"x" * max(0, left.f_bavail * left.f_frsize - 4 * MIB))
    sagemaker.create_training_job(
        TrainingJobName="job",
        AlgorithmSpecification={"TrainingImage": f"{REGISTRY}/echo:1", "TrainingInputMode": "File"},
        RoleArn=ROLE,
        InputDataConfig=[
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in/"}},
            }
        ],
        OutputDataConfig={"S3OutputPath": "s3://bucket/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
    )
    eventually(
        lambda: sagemaker.describe_training_job(TrainingJobName="job")["TrainingJobStatus"] == "Failed"
    )
    assert (
        "No space left on device" in sagemaker.describe_training_job(TrainingJobName="job")["FailureReason"]
    )
    container = {"Image": f"{REGISTRY}/echo:1", "ModelDataUrl": "s3://bucket/model.tar.gz"}
    sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    eventually(lambda: sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "Failed")
    assert "No space left on device" in sagemaker.describe_endpoint(EndpointName="e")["FailureReason"]
    sagemaker.delete_endpoint(EndpointName="e")
    eventually(lambda: not list((full.data / "jobs").glob("*/*")))
    free = os.statvfs(full.data)
    assert free.f_bavail * free.f_frsize > 2 * MIB, "what did not fit was left lying"
