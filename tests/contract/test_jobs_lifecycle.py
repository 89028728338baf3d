"""Jobs over the wire with plain boto3: its waiters, its paginators, its error codes."""

from __future__ import annotations

import functools
import io
import tarfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
WAIT = {"Delay": 1, "MaxAttempts": 300}
DOCKERFILE = (
    "FROM python:3.11-slim\nCOPY src/ /opt/program/\nENV PATH=/opt/program:$PATH\nWORKDIR /opt/program\n"
)
PROGRAM = """#!/usr/bin/env python
import os, pathlib, signal, sys, time
base = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
print("started", *sys.argv[1:], flush=True)
for argument in sys.argv[1:]:
    if argument == "fail":
        raise ValueError("asked to fail")
    if argument == "sleep":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        while True:
            time.sleep(1)
(base / "model").mkdir(exist_ok=True)
(base / "model" / "weights").write_text("w")
"""


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image whose program does what its arguments say."""
    folder = tmp_path_factory.mktemp("containers")
    source = folder / "actor" / "src"
    source.mkdir(parents=True)
    (source.parent / "Dockerfile").write_text(DOCKERFILE)
    (source / "train").write_text(PROGRAM)
    (source / "train").chmod(0o755)
    return folder


@pytest.fixture
def local(start_server: Callable[..., Any], containers: Path) -> Any:
    """A server of the test's own."""
    running = start_server("--jobs", "2", containers=containers)
    running.client("s3").create_bucket(Bucket="bucket")
    return running


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def train(sagemaker: Any, *arguments: str, **more: Any) -> str:
    name = unique("train")
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={
            "TrainingImage": f"{REGISTRY}/actor:1",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["train"],
            "ContainerArguments": list(arguments or ("now",)),
        },
        RoleArn=ROLE,
        OutputDataConfig={"S3OutputPath": "s3://bucket/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        **{"StoppingCondition": {"MaxRuntimeInSeconds": 300}, **more},
    )
    return name


def process(sagemaker: Any, *arguments: str, **more: Any) -> str:
    name = unique("process")
    sagemaker.create_processing_job(
        ProcessingJobName=name,
        AppSpecification={
            "ImageUri": f"{REGISTRY}/actor:1",
            "ContainerEntrypoint": ["train"],
            "ContainerArguments": list(arguments or ("now",)),
        },
        RoleArn=ROLE,
        ProcessingResources={
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}
        },
        **more,
    )
    return name


def until(condition: Callable[[], Any], timeout_s: float = 300) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def messages(local: Any, group: str, name: str) -> list[str]:
    logs = local.client("logs")
    try:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, logStreamNamePrefix=f"{name}/"
        )
        return [event["message"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def test_waiters_see_the_end_of_jobs_and_the_artefact_is_there(local):
    sagemaker = local.client("sagemaker")
    trained, processed = train(sagemaker), process(sagemaker)
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=trained, WaiterConfig=WAIT)
    sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
        ProcessingJobName=processed, WaiterConfig=WAIT
    )
    job = sagemaker.describe_training_job(TrainingJobName=trained)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://bucket/")
    body = local.client("s3").get_object(Bucket="bucket", Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        assert tar.getnames() == ["weights"]
    assert messages(local, "/aws/sagemaker/TrainingJobs", trained)[-1] == "started now"
    described = sagemaker.describe_processing_job(ProcessingJobName=processed)
    assert described["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert "VpcConfig" not in described.get("NetworkConfig", {})


def test_waiters_fail_with_the_job(local):
    sagemaker = local.client("sagemaker")
    name = process(sagemaker, "fail")
    with pytest.raises(WaiterError):
        sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
            ProcessingJobName=name, WaiterConfig=WAIT
        )
    reason = sagemaker.describe_processing_job(ProcessingJobName=name)["FailureReason"]
    assert reason.startswith("AlgorithmError: ")
    assert reason.endswith("ValueError: asked to fail, exit code: 1")


def test_error_codes_are_those_that_clients_know(local):
    sagemaker = local.client("sagemaker")
    name = train(sagemaker)

    def code(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as caught:
            call(**request)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    job = sagemaker.describe_training_job(TrainingJobName=name)
    again = {
        member: job[member]
        for member in ("TrainingJobName", "AlgorithmSpecification", "RoleArn", "OutputDataConfig",
                       "ResourceConfig", "StoppingCondition")
    }  # fmt: skip
    taken, message = code(sagemaker.create_training_job, **again)
    assert taken == "ResourceInUse"
    assert job["TrainingJobArn"] in message
    assert code(sagemaker.describe_training_job, TrainingJobName="nobody") == (
        "ValidationException",
        "Requested resource not found.",
    )
    assert code(sagemaker.stop_processing_job, ProcessingJobName="nobody")[0] == "ValidationException"
    assert code(sagemaker.describe_compilation_job, CompilationJobName="nobody")[0] == "ResourceNotFound"
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 200, "VolumeSizeInGB": 5}
    many = code(
        sagemaker.create_training_job, **{**again, "TrainingJobName": "two", "ResourceConfig": cluster}
    )
    assert many[0] == "ValidationException"
    assert "was asked for 200 of ml.m5.large" in many[1]
    no_model = code(
        sagemaker.create_transform_job,
        TransformJobName="t",
        ModelName="nothing",
        TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/x"}}},
        TransformOutput={"S3OutputPath": "s3://bucket/y"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    assert no_model[0] == "ValidationException"
    assert "Could not find model" in no_model[1]


def test_how_long_a_job_may_wait_for_its_place_is_bounded_as_on_aws(local):
    """A job that really waits half an hour is in tests/unit, with a shorter time."""
    sagemaker = local.client("sagemaker")
    stop = {"MaxRuntimeInSeconds": 300}
    with pytest.raises(ClientError, match=r"axPendingTimeInSeconds.*less than or equal to 2419200"):
        train(sagemaker, StoppingCondition={**stop, "MaxPendingTimeInSeconds": 2419201})
    name = train(sagemaker, StoppingCondition={**stop, "MaxPendingTimeInSeconds": 1800})
    described = sagemaker.describe_training_job(TrainingJobName=name)
    assert described["StoppingCondition"] == {**stop, "MaxPendingTimeInSeconds": 1800}


def test_paginators_list_every_job_once(local):
    sagemaker = local.client("sagemaker")
    names = {process(sagemaker) for _ in range(5)}
    pages = list(sagemaker.get_paginator("list_processing_jobs").paginate(MaxResults=2, SortBy="Name"))
    assert [len(page["ProcessingJobSummaries"]) for page in pages] == [2, 2, 1]
    listed = [job["ProcessingJobName"] for page in pages for job in page["ProcessingJobSummaries"]]
    assert sorted(listed) == sorted(names)
    assert listed == sorted(listed, reverse=True)


def test_stop_ends_in_stopped_and_a_second_stop_is_refused(local):
    sagemaker = local.client("sagemaker")
    name = process(sagemaker, "sleep")
    until(lambda: "started sleep" in messages(local, "/aws/sagemaker/ProcessingJobs", name))
    sagemaker.stop_processing_job(ProcessingJobName=name)
    sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
        ProcessingJobName=name, WaiterConfig=WAIT
    )
    assert sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="is in status Stopped"):
        sagemaker.stop_processing_job(ProcessingJobName=name)


def test_a_killed_server_leaves_no_program_and_no_job_in_progress(local):
    sagemaker = local.client("sagemaker")
    marker = unique("marker")
    name = train(sagemaker, "sleep", Environment={"MARKER": marker})
    stopping = process(sagemaker, "sleep", Environment={"MARKER": marker})
    for group, job in (("TrainingJobs", name), ("ProcessingJobs", stopping)):
        until(functools.partial(messages, local, f"/aws/sagemaker/{group}", job))
    waiting = train(sagemaker, "now")
    assert sagemaker.describe_training_job(TrainingJobName=waiting)["SecondaryStatus"] == "Pending"
    assert processes_with(marker)

    local.kill()
    until(lambda: not processes_with(marker))
    local.start()

    sagemaker = local.client("sagemaker")
    failed = sagemaker.describe_training_job(TrainingJobName=name)
    assert failed["TrainingJobStatus"] == "Failed"
    assert "the local SageMaker ended while the job was running" in failed["FailureReason"]
    assert sagemaker.describe_processing_job(ProcessingJobName=stopping)["ProcessingJobStatus"] == "Failed"
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=waiting, WaiterConfig=WAIT)
    assert sagemaker.describe_training_job(TrainingJobName=waiting)["TrainingJobStatus"] == "Completed"
    assert "started sleep" in messages(local, "/aws/sagemaker/TrainingJobs", name)
    assert not list((local.data / "jobs").rglob("ml"))


def processes_with(marker: str) -> list[str]:
    """Processes of this machine with the marker in their environment."""
    found = []
    for process_directory in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (process_directory / "environ").read_bytes():
                found.append(process_directory.name)
        except OSError:
            continue
    return found
