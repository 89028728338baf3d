"""Models and endpoint configs: what boto3 gets back, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.serving_probe import BUCKET, IMAGE, ROLE, Probe, probe, unique

__all__ = ["probe"]
ARN = "arn:aws:sagemaker:us-east-1:123456789012:"


def test_a_model_is_described_as_it_was_created(probe: Probe) -> None:
    name = probe.model(GREETING="hello")
    described = probe.sagemaker.describe_model(ModelName=name)
    assert described["ModelArn"] == f"{ARN}model/{name}"
    assert described["PrimaryContainer"] == {
        "Image": IMAGE,
        "Mode": "SingleModel",
        "ModelDataUrl": f"s3://{BUCKET}/{name}.tar.gz",
        "Environment": {"GREETING": "hello"},
    }
    assert described["ExecutionRoleArn"] == ROLE
    assert described["EnableNetworkIsolation"] is False
    assert "VpcConfig" not in described


def test_models_are_listed_newest_first_page_by_page(probe: Probe) -> None:
    stem = unique("listed")
    for number in range(5):
        container = {"Image": IMAGE}
        probe.sagemaker.create_model(
            ModelName=f"{stem}-{number}", PrimaryContainer=container, ExecutionRoleArn=ROLE
        )
    pages = probe.sagemaker.get_paginator("list_models").paginate(
        NameContains=stem.upper(), PaginationConfig={"PageSize": 2}
    )
    names = [[model["ModelName"] for model in page["Models"]] for page in pages]
    assert names == [[f"{stem}-4", f"{stem}-3"], [f"{stem}-2", f"{stem}-1"], [f"{stem}-0"]]


def test_a_deleted_model_is_gone_and_its_name_is_free(probe: Probe) -> None:
    name = probe.model()
    probe.sagemaker.delete_model(ModelName=name)
    with pytest.raises(ClientError, match=f'Could not find model "{ARN}model/{name}".'):
        probe.sagemaker.describe_model(ModelName=name)
    probe.sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://nowhere/model.tar.gz"}},
         "Could not find model data at s3://nowhere/model.tar.gz."),
        ({"PrimaryContainer": {"Image": IMAGE, "Mode": "MultiModel"}}, "Mode MultiModel"),
        ({"PrimaryContainer": {"Environment": {}}}, "Image or ModelPackageName is required"),
        ({}, "Either PrimaryContainer or Containers must be provided"),
        ({"Containers": [{"Image": IMAGE, "ContainerHostname": "same"}] * 2}, "Duplicate ContainerHostname"),
        ({"PrimaryContainer": {"Image": IMAGE}, "Containers": [{"Image": IMAGE}]}, "Both PrimaryContainer"),
        ({"PrimaryContainer": {"ModelPackageName": f"{ARN}model-package/none/1"}},
         f"ModelPackage {ARN}model-package/none/1 does not exist."),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_served_is_refused(
    probe: Probe, container: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as refused:
        probe.sagemaker.create_model(ModelName=unique("model"), ExecutionRoleArn=ROLE, **container)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert message in refused.value.response["Error"]["Message"]


def taken_model(probe: Probe, config: str) -> str:
    variants = probe.sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    name = str(variants[0]["ModelName"])
    probe.sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)
    return name


def taken_config(probe: Probe, config: str) -> str:
    probe.sagemaker.create_endpoint_config(
        EndpointConfigName=config, ProductionVariants=[probe.variant(probe.model())]
    )
    return config


def taken_endpoint(probe: Probe, config: str) -> str:
    for _ in range(2):
        probe.sagemaker.create_endpoint(EndpointName="taken", EndpointConfigName=config)
    return "taken"


@pytest.mark.parametrize(
    ("create_twice", "noun"),
    [
        (taken_model, f'model "{ARN}model/model-'),
        (taken_config, f'endpoint configuration "{ARN}endpoint-config/config-'),
        (taken_endpoint, f'endpoint "{ARN}endpoint/taken".'),
    ],
)  # fmt: skip
def test_a_taken_name_is_refused_in_the_words_of_aws(
    probe: Probe, create_twice: Callable[[Probe, str], str], noun: str
) -> None:
    with pytest.raises(ClientError) as refused:
        create_twice(probe, probe.config())
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert error["Message"].startswith(f"Cannot create already existing {noun}")


def test_an_endpoint_config_has_defaults_and_needs_its_models(probe: Probe) -> None:
    config = probe.config()
    described = probe.sagemaker.describe_endpoint_config(EndpointConfigName=config)
    assert described["ProductionVariants"][0]["InitialVariantWeight"] == 1.0
    assert described["EndpointConfigArn"] == f"{ARN}endpoint-config/{config}"
    with pytest.raises(ClientError, match=f'Could not find model "{ARN}model/none".'):
        probe.config("none")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}}, "ServerlessConfig"),
        ({"InitialVariantWeight": 0.0}, "At least one InitialVariantWeight"),
    ],
)
def test_what_would_not_happen_is_refused(probe: Probe, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        probe.config(**more)


def test_variants_of_one_name_are_refused(probe: Probe) -> None:
    variant = probe.variant(probe.model())
    with pytest.raises(ClientError, match="Duplicate variant names"):
        probe.sagemaker.create_endpoint_config(
            EndpointConfigName=unique("config"), ProductionVariants=[variant, variant]
        )
