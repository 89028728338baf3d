"""Every paginator that botocore has for a List operation we serve finds every resource once, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore import xform_name

from sagemaker_local.app import SAGEMAKER
from tests.contract.conftest import LocalServer
from tests.contract.test_sagemaker_waiters import IMAGE, IMAGES, RESOURCES, ROLE

RECORDS = 5
PAGE = 2
MODEL_ARN = "arn:aws:sagemaker:us-east-1:123456789012:model/model-0"


def models(sagemaker: Any) -> list[str]:
    names = [f"model-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://artefacts/model.tar.gz"},
        )
    return names


def endpoint_configs(sagemaker: Any) -> list[str]:
    names = [f"config-{number}" for number in range(RECORDS)]
    for name in names:
        variant = {
            "VariantName": "a",
            "ModelName": "model-0",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return names


def endpoints(sagemaker: Any) -> list[str]:
    names = [f"endpoint-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="config-0")
    return names


def model_package_groups(sagemaker: Any) -> list[str]:
    names = [f"group-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_model_package_group(ModelPackageGroupName=name)
    return names


def model_packages(sagemaker: Any) -> list[str]:
    container = {"Image": IMAGE, "ModelDataUrl": "s3://artefacts/model.tar.gz"}
    specification = {
        "Containers": [container],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    return [
        sagemaker.create_model_package(ModelPackageGroupName="group-0", InferenceSpecification=specification)[
            "ModelPackageArn"
        ]
        for _ in range(RECORDS)
    ]


def training_jobs(sagemaker: Any) -> list[str]:
    names = [f"training-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://artefacts/out"},
            ResourceConfig=RESOURCES,
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
    return names


def processing_jobs(sagemaker: Any) -> list[str]:
    names = [f"processing-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_processing_job(
            ProcessingJobName=name,
            AppSpecification={"ImageUri": IMAGE, "ContainerEntrypoint": ["process", "0"]},
            RoleArn=ROLE,
            ProcessingResources={"ClusterConfig": RESOURCES},
        )
    return names


def compilation_jobs(sagemaker: Any) -> list[str]:
    names = [f"compilation-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_compilation_job(
            CompilationJobName=name,
            RoleArn=ROLE,
            InputConfig={
                "S3Uri": "s3://artefacts/model.tar.gz",
                "DataInputConfig": '{"input": [1, 2]}',
                "Framework": "SKLEARN",
            },
            OutputConfig={"S3OutputLocation": "s3://artefacts/compiled", "TargetDevice": "ml_m5"},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
    return names


def transform_jobs(sagemaker: Any) -> list[str]:
    names = [f"transform-{number}" for number in range(RECORDS)]
    for name in names:
        sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName="model-0",
            TransformInput={
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://artefacts/rows"}}
            },
            TransformOutput={"S3OutputPath": "s3://artefacts/out"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        )
    return names


def tags(sagemaker: Any) -> list[str]:
    arn = sagemaker.describe_model(ModelName="model-0")["ModelArn"]
    keys = [f"key-{number}" for number in range(RECORDS)]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": key, "Value": "value"} for key in keys])
    return keys


# operation → what makes the resources, the answer's list, the field that names one, further arguments
CASES: dict[str, tuple[Callable[[Any], list[str]], str, str, dict[str, Any]]] = {
    "ListModels": (models, "Models", "ModelName", {}),
    "ListEndpointConfigs": (endpoint_configs, "EndpointConfigs", "EndpointConfigName", {}),
    "ListEndpoints": (endpoints, "Endpoints", "EndpointName", {}),
    "ListModelPackageGroups": (
        model_package_groups, "ModelPackageGroupSummaryList", "ModelPackageGroupName", {},
    ),
    "ListModelPackages": (
        model_packages, "ModelPackageSummaryList", "ModelPackageArn", {"ModelPackageGroupName": "group-0"},
    ),
    "ListTrainingJobs": (training_jobs, "TrainingJobSummaries", "TrainingJobName", {}),
    "ListProcessingJobs": (processing_jobs, "ProcessingJobSummaries", "ProcessingJobName", {}),
    "ListCompilationJobs": (compilation_jobs, "CompilationJobSummaries", "CompilationJobName", {}),
    "ListTransformJobs": (transform_jobs, "TransformJobSummaries", "TransformJobName", {}),
    "ListTags": (tags, "Tags", "Key", {"ResourceArn": MODEL_ARN}),
}  # fmt: skip


@pytest.fixture(scope="module")
def sagemaker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = LocalServer(tmp_path_factory.mktemp("paginators") / "data", IMAGES).start()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="artefacts")
    s3.put_object(Bucket="artefacts", Key="model.tar.gz", Body=b"never opened: nothing here waits for a job")
    yield server.client("sagemaker")
    server.stop()


@pytest.fixture(scope="module")
def made(sagemaker: Any) -> dict[str, list[str]]:
    """The resources of every case, made in the order of the table: later ones name earlier ones."""
    return {operation: make(sagemaker) for operation, (make, *_) in CASES.items()}


@pytest.mark.parametrize("operation", CASES)
def test_a_paginator_finds_every_resource_once(
    sagemaker: Any, made: dict[str, list[str]], operation: str
) -> None:
    _, summaries, name_field, arguments = CASES[operation]
    paginator = sagemaker.get_paginator(xform_name(operation))
    page_size = 50 if operation == "ListTags" else PAGE  # the least that ListTags takes
    pages = list(paginator.paginate(**arguments, PaginationConfig={"PageSize": page_size}))
    found = [summary[name_field] for page in pages for summary in page[summaries]]
    assert sorted(found) == sorted(made[operation])
    assert all(len(page[summaries]) <= page_size for page in pages)


def test_no_list_operation_that_is_served_lacks_a_case(sagemaker: Any) -> None:
    served = {name for name in SAGEMAKER if sagemaker.can_paginate(xform_name(name))}
    assert served == set(CASES)
