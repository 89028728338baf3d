"""AWS's training toolkit on images of the user's own, extended or not, and images that are not there."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import LocalServer

SCIKIT_LEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
DEADLINE_S = 900  # environments are made first, on a machine that has none

IMAGES = {
    "extended": {
        "Dockerfile": f"FROM {SCIKIT_LEARN}\nRUN pip install --no-cache-dir humanize==4.12.0\n"
        "COPY train.py /opt/ml/code/train.py\n"
        "ENV SAGEMAKER_PROGRAM=train.py SAGEMAKER_SUBMIT_DIRECTORY=/opt/ml/code\n",
        "train.py": "import os, sys, humanize, sklearn\n"
        "print('humanize', humanize.__version__, 'arguments', sys.argv[1:])\n"
        "open(os.path.join(os.environ['SM_MODEL_DIR'], 'model'), 'w').write(sklearn.__version__)\n",
    },
    "own-toolkit": {
        "Dockerfile": "FROM python:3.11-slim\nRUN pip install sagemaker-training==5.1.4\n"
        "COPY entry.sh requirements.txt /opt/ml/code/\nENV SAGEMAKER_PROGRAM=entry.sh\n",
        "requirements.txt": "",
        "entry.sh": "#!/bin/sh\nset -e\npip install --quiet humanize==4.12.0\n"
        "python -c 'import humanize; print(\"humanize\", humanize.__version__)' \n"
        'echo "arguments $*"\ntouch "$SM_MODEL_DIR/model"\n',
    },
}


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("script-mode") / "containers"
    for image, files in IMAGES.items():
        for name, text in files.items():
            path = directory / image / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return directory


def train(server: LocalServer, image: str, **environment: str) -> tuple[dict[str, Any], str]:
    """Run a training job to its end; its description and its log."""
    sagemaker, logs, s3 = server.client("sagemaker"), server.client("logs"), server.client("s3")
    name = f"script-{time.time_ns()}"
    s3.create_bucket(Bucket=name)
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
        HyperParameters={"learning-rate": "0.1", "words": '"two words"'},
        OutputDataConfig={"S3OutputPath": f"s3://{name}/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        Environment=environment,
    )
    deadline = time.monotonic() + DEADLINE_S
    while True:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] not in {"InProgress", "Stopping"}:
            break
        assert time.monotonic() < deadline, job
        time.sleep(0.2)
    group = "/aws/sagemaker/TrainingJobs"
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return job, ""  # no job of the server has printed anything yet
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=name)["logStreams"]
    events = [
        event["message"]
        for stream in streams
        for event in logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
    ]
    return job, "\n".join(events)


@pytest.mark.parametrize("executor", ["auto", "base-directory"])
@pytest.mark.parametrize("image", IMAGES)
def test_an_image_brings_its_script_and_its_packages(
    start_server: Callable[..., LocalServer], containers: Path, image: str, executor: str
) -> None:
    server = start_server("--executor", executor, containers=containers)
    job, log = train(server, f"{REGISTRY}/team/{image}:1")
    assert job["TrainingJobStatus"] == "Completed", (job.get("FailureReason"), log)
    assert "humanize 4.12.0" in log
    assert "--learning-rate" in log.partition("arguments")[2]
    assert "Reporting training SUCCESS" in log


def test_an_image_that_cannot_be_pulled_fails_the_job_as_on_aws(server: LocalServer) -> None:
    job, _ = train(server, f"{REGISTRY}/no-such-image:1")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(
        "ClientError: Cannot pull algorithm container. Either the image does not exist or its "
        "permissions are incorrect."
    )
    assert "--images" in job["FailureReason"]


def test_a_table_maps_images_to_runtimes(
    start_server: Callable[..., LocalServer], containers: Path, tmp_path: Path
) -> None:
    table = tmp_path / "images.toml"
    table.write_text('[images]\n"*/legacy/*:2024-*" = "extended"\n')
    server = start_server("--images", str(table), containers=containers)
    job, log = train(server, "registry.example.com/legacy/churn:2024-03")
    assert job["TrainingJobStatus"] == "Completed", (job.get("FailureReason"), log)
