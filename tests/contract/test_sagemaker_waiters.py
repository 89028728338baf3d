"""botocore's own waiters see our jobs and endpoints end as they see AWS's.

| waiter                                | ends well on           | raises on        |
|---------------------------------------|------------------------|------------------|
| training_job_completed_or_stopped     | Completed, Stopped     | Failed           |
| processing_job_completed_or_stopped   | Completed, Stopped     | Failed           |
| transform_job_completed_or_stopped    | Completed, Stopped     | Failed           |
| endpoint_in_service                   | InService              | Failed           |
| endpoint_deleted                      | no such endpoint       | Failed           |
"""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.contract.conftest import LocalServer

IMAGES = Path(__file__).parent / "images"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/echo:latest"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
RESOURCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
OFTEN = {"Delay": 1, "MaxAttempts": 300}


@pytest.fixture(scope="module")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    server = LocalServer(tmp_path_factory.mktemp("waiters") / "data", IMAGES, "--stop-grace-s", "5").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def sagemaker(echo_server: LocalServer) -> Any:
    return echo_server.client("sagemaker")


@pytest.fixture(scope="module")
def data(echo_server: LocalServer) -> str:
    """A bucket that holds a model artefact and one file of rows."""
    s3 = echo_server.client("s3")
    bucket = "waiters-data"
    s3.create_bucket(Bucket=bucket)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("model.txt"), io.BytesIO())
    s3.put_object(Bucket=bucket, Key="model.tar.gz", Body=packed.getvalue())
    s3.put_object(Bucket=bucket, Key="rows/rows.csv", Body=b"1\n2\n3\n")
    return f"s3://{bucket}"


def unique(stem: str) -> str:
    return f"{stem}-{uuid.uuid4().hex[:12]}"


def train(sagemaker: Any, data: str, **hyperparameters: str) -> str:
    name = unique("train")
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=ROLE,
        HyperParameters=hyperparameters,
        OutputDataConfig={"S3OutputPath": f"{data}/out"},
        ResourceConfig=RESOURCES,
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    return name


def process(sagemaker: Any, seconds: str) -> str:
    name = unique("process")
    sagemaker.create_processing_job(
        ProcessingJobName=name,
        AppSpecification={
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["process"],
            "ContainerArguments": [seconds],
        },
        RoleArn=ROLE,
        ProcessingResources={"ClusterConfig": RESOURCES},
    )
    return name


def model(sagemaker: Any, data: str) -> str:
    name = unique("model")
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": f"{data}/model.tar.gz"},
    )
    return name


def transform(sagemaker: Any, data: str) -> str:
    name = unique("transform")
    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=model(sagemaker, data),
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{data}/rows/"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": f"{data}/transformed/{name}", "AssembleWith": "Line"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    return name


def endpoint(sagemaker: Any, model_name: str) -> str:
    name = unique("endpoint")
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": model_name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return name


def test_a_training_job_is_waited_for_until_it_completes(sagemaker: Any, data: str) -> None:
    name = train(sagemaker, data, model="echo")
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name, WaiterConfig=OFTEN)
    described = sagemaker.describe_training_job(TrainingJobName=name)
    assert described["TrainingJobStatus"] == "Completed"
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == f"{data}/out/{name}/output/model.tar.gz"


def test_a_failed_training_job_ends_the_wait_with_an_error(sagemaker: Any, data: str) -> None:
    name = train(sagemaker, data, failure="the labels are missing")
    with pytest.raises(WaiterError, match="terminal failure state"):
        sagemaker.get_waiter("training_job_completed_or_stopped").wait(
            TrainingJobName=name, WaiterConfig=OFTEN
        )
    assert "the labels are missing" in sagemaker.describe_training_job(TrainingJobName=name)["FailureReason"]


def stopped_training(sagemaker: Any, data: str) -> dict[str, str]:
    name = train(sagemaker, data, seconds="300")
    sagemaker.stop_training_job(TrainingJobName=name)
    return {"TrainingJobName": name}


def stopped_processing(sagemaker: Any, data: str) -> dict[str, str]:
    name = process(sagemaker, "300")
    sagemaker.stop_processing_job(ProcessingJobName=name)
    return {"ProcessingJobName": name}


def completed_processing(sagemaker: Any, data: str) -> dict[str, str]:
    return {"ProcessingJobName": process(sagemaker, "0")}


def completed_transform(sagemaker: Any, data: str) -> dict[str, str]:
    return {"TransformJobName": transform(sagemaker, data)}


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (stopped_training, "Stopped"),
        (stopped_processing, "Stopped"),
        (completed_processing, "Completed"),
        (completed_transform, "Completed"),
    ],
)
def test_a_job_is_waited_for_until_it_ends(
    sagemaker: Any, data: str, start: Callable[[Any, str], dict[str, str]], status: str
) -> None:
    named = start(sagemaker, data)
    noun = next(iter(named)).removesuffix("JobName").lower()
    sagemaker.get_waiter(f"{noun}_job_completed_or_stopped").wait(**named, WaiterConfig=OFTEN)
    described = getattr(sagemaker, f"describe_{noun}_job")(**named)
    assert described[f"{noun.capitalize()}JobStatus"] == status


def test_an_endpoint_is_waited_for_until_it_serves_and_until_it_is_gone(
    echo_server: LocalServer, sagemaker: Any, data: str
) -> None:
    name = endpoint(sagemaker, model(sagemaker, data))
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=OFTEN)
    runtime = echo_server.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=b"1,2")
    assert answer["Body"].read() == b"1,2"
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=OFTEN)


def test_an_endpoint_that_cannot_start_ends_the_wait_with_an_error(sagemaker: Any, data: str) -> None:
    name = unique("model")
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": IMAGE.replace("echo", "nowhere"), "ModelDataUrl": f"{data}/model.tar.gz"},
    )
    failed = endpoint(sagemaker, name)
    with pytest.raises(WaiterError, match="terminal failure state"):
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=failed, WaiterConfig=OFTEN)
    assert "nowhere" in sagemaker.describe_endpoint(EndpointName=failed)["FailureReason"]


@pytest.fixture
def image(sagemaker: Any) -> str:
    name = unique("image")
    sagemaker.create_image(ImageName=name, RoleArn=ROLE)
    sagemaker.get_waiter("image_created").wait(ImageName=name, WaiterConfig=OFTEN)
    return name


def test_an_image_and_its_versions_are_waited_for(sagemaker: Any, image: str) -> None:
    for alias in ("first", "second"):
        sagemaker.create_image_version(
            ImageName=image, BaseImage=IMAGE, ClientToken=unique("token"), Aliases=[alias]
        )
    sagemaker.get_waiter("image_version_created").wait(ImageName=image, WaiterConfig=OFTEN)
    assert sagemaker.describe_image_version(ImageName=image)["Version"] == 2
    assert sagemaker.describe_image_version(ImageName=image, Alias="first")["Version"] == 1
    sagemaker.update_image(ImageName=image, DisplayName="A better name")
    sagemaker.get_waiter("image_updated").wait(ImageName=image, WaiterConfig=OFTEN)
    sagemaker.delete_image_version(ImageName=image, Version=2)
    sagemaker.get_waiter("image_version_deleted").wait(ImageName=image, Version=2, WaiterConfig=OFTEN)
    assert sagemaker.describe_image_version(ImageName=image)["Version"] == 1
    sagemaker.delete_image(ImageName=image)
    sagemaker.get_waiter("image_deleted").wait(ImageName=image, WaiterConfig=OFTEN)


def test_a_version_of_an_image_that_is_not_there_ends_the_wait_with_an_error(
    sagemaker: Any, image: str
) -> None:
    sagemaker.create_image_version(
        ImageName=image, BaseImage=IMAGE.replace("echo", "nowhere"), ClientToken=unique("token")
    )
    with pytest.raises(WaiterError, match="terminal failure state"):
        sagemaker.get_waiter("image_version_created").wait(ImageName=image, WaiterConfig=OFTEN)
    assert "nowhere" in sagemaker.describe_image_version(ImageName=image)["FailureReason"]


def test_a_repeated_token_makes_no_second_version(sagemaker: Any, image: str) -> None:
    asked = {"ImageName": image, "BaseImage": IMAGE, "ClientToken": unique("token")}
    arns = {sagemaker.create_image_version(**asked)["ImageVersionArn"] for _ in range(2)}
    assert len(arns) == 1
