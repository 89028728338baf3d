"""Model package groups and packages over boto3: numbers, approval, what may be deployed."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.serving_probe import BUCKET, IMAGE, ROLE, Probe, artefact, probe, unique

__all__ = ["probe"]
ARN = "arn:aws:sagemaker:us-east-1:123456789012:"


@pytest.fixture
def group(probe: Probe) -> str:
    name = unique("group")
    probe.sagemaker.create_model_package_group(ModelPackageGroupName=name)
    return name


def inference(probe: Probe, version: str = "v1") -> dict[str, Any]:
    key = f"{unique('package')}.tar.gz"
    probe.s3.put_object(Bucket=BUCKET, Key=key, Body=artefact(version))
    return {
        "Containers": [
            {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{key}", "Environment": {"FROM": "package"}}
        ],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }


def register(probe: Probe, group: str, **more: Any) -> str:
    request = {"ModelPackageGroupName": group, "InferenceSpecification": inference(probe), **more}
    arn: str = probe.sagemaker.create_model_package(**request)["ModelPackageArn"]
    return arn


def test_a_group_is_described_listed_and_deleted_when_empty(probe: Probe, group: str) -> None:
    described = probe.sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    assert described["ModelPackageGroupArn"] == f"{ARN}model-package-group/{group}"
    assert described["ModelPackageGroupStatus"] == "Completed"
    assert "ModelPackageGroupDescription" not in described
    listed = probe.sagemaker.list_model_package_groups(NameContains=group)["ModelPackageGroupSummaryList"]
    assert [each["ModelPackageGroupName"] for each in listed] == [group]
    with pytest.raises(ClientError, match=f"Model Package Group already exists: {ARN}"):
        probe.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    package = register(probe, group)
    with pytest.raises(ClientError, match=r"ConflictException.*contains 1 model packages"):
        probe.sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    probe.sagemaker.delete_model_package(ModelPackageName=package)
    probe.sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(
        ClientError, match=f"ModelPackageGroup {ARN}model-package-group/{group} does not exist."
    ):
        probe.sagemaker.describe_model_package_group(ModelPackageGroupName=group)


def test_versions_count_up_and_are_never_given_twice(probe: Probe, group: str) -> None:
    first, second = register(probe, group), register(probe, group)
    assert (first, second) == (f"{ARN}model-package/{group}/1", f"{ARN}model-package/{group}/2")
    probe.sagemaker.delete_model_package(ModelPackageName=second)
    assert register(probe, group).endswith("/3")
    with pytest.raises(ClientError, match=f"ModelPackage {second} does not exist."):
        probe.sagemaker.describe_model_package(ModelPackageName=second)


def test_a_version_is_described_with_what_was_given_and_the_defaults(probe: Probe, group: str) -> None:
    metrics = {
        "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": f"s3://{BUCKET}/m.json"}}
    }
    arn = register(probe, group, ModelMetrics=metrics, CustomerMetadataProperties={"run": "1"})
    described = probe.sagemaker.describe_model_package(ModelPackageName=arn)
    assert described["ModelPackageVersion"] == 1
    assert described["ModelPackageGroupName"] == group
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert described["ModelPackageStatus"] == "Completed"
    assert described["ModelMetrics"] == metrics
    assert described["CustomerMetadataProperties"] == {"run": "1"}
    assert described["InferenceSpecification"]["SupportedContentTypes"] == ["text/csv"]
    assert "ApprovalDescription" not in described
    assert "ClientToken" not in described


def test_one_client_token_makes_one_version(probe: Probe, group: str) -> None:
    request = {"ModelPackageGroupName": group, "InferenceSpecification": inference(probe)}
    arns = {
        probe.sagemaker.create_model_package(**request, ClientToken="a" * 36)["ModelPackageArn"]
        for _ in range(3)
    }
    assert arns == {f"{ARN}model-package/{group}/1"}


def test_approval_its_note_and_the_metadata_can_be_changed(probe: Probe, group: str) -> None:
    arn = register(probe, group, CustomerMetadataProperties={"kept": "1", "gone": "2"})
    probe.sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="better than the last",
        CustomerMetadataProperties={"new": "3"},
        CustomerMetadataPropertiesToRemove=["gone"],
    )
    described = probe.sagemaker.describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "better than the last"
    assert described["CustomerMetadataProperties"] == {"kept": "1", "new": "3"}
    assert described["LastModifiedTime"] > described["CreationTime"]


def test_versions_are_listed_by_group_approval_and_order(probe: Probe, group: str) -> None:
    arns = [register(probe, group) for _ in range(3)]
    probe.sagemaker.update_model_package(ModelPackageArn=arns[1], ModelApprovalStatus="Approved")

    def listed(**filters: Any) -> list[str]:
        pages = probe.sagemaker.get_paginator("list_model_packages").paginate(
            **filters, PaginationConfig={"PageSize": 2}
        )
        return [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]

    assert listed(ModelPackageGroupName=group) == arns
    newest = listed(ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending")
    assert newest == arns[::-1]
    assert listed(ModelPackageGroupName=group, ModelApprovalStatus="Approved") == [arns[1]]
    assert not set(arns) & set(listed())
    assert set(arns) <= set(listed(ModelPackageType="Both"))


def test_an_unversioned_package_has_a_name_and_tags(probe: Probe) -> None:
    name = unique("package")
    arn = probe.sagemaker.create_model_package(
        ModelPackageName=name,
        InferenceSpecification=inference(probe),
        Tags=[{"Key": "team", "Value": "a"}],
    )["ModelPackageArn"]
    assert arn == f"{ARN}model-package/{name}"
    described = probe.sagemaker.describe_model_package(ModelPackageName=name)
    assert "ModelPackageVersion" not in described
    assert probe.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    listed = probe.sagemaker.list_model_packages(NameContains=name)["ModelPackageSummaryList"]
    assert [each["ModelPackageName"] for each in listed] == [name]
    with pytest.raises(ClientError, match="ModelPackage already exists"):
        probe.sagemaker.create_model_package(ModelPackageName=name)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"ModelPackageName": "a", "ModelPackageGroupName": "b"}, "Both ModelPackageName and"),
        ({}, "Missing ARN."),
        ({"ModelPackageGroupName": "none"}, "model-package-group/none does not exist."),
        ({"ModelPackageGroupName": "b", "Tags": [{"Key": "a", "Value": "b"}]}, "Tags cannot be supplied"),
    ],
)  # fmt: skip
def test_a_package_that_belongs_nowhere_is_refused(
    probe: Probe, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        probe.sagemaker.create_model_package(InferenceSpecification=inference(probe), **request_)


@pytest.mark.parametrize("status", ["PendingManualApproval", "Rejected"])
def test_only_an_approved_version_can_be_deployed(probe: Probe, group: str, status: str) -> None:
    arn = register(probe, group, ModelApprovalStatus=status)
    create = {"PrimaryContainer": {"ModelPackageName": arn}, "ExecutionRoleArn": ROLE}
    with pytest.raises(ClientError, match=f"ModelApprovalStatus is {status}"):
        probe.sagemaker.create_model(ModelName=unique("model"), **create)
    probe.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    probe.sagemaker.create_model(ModelName=unique("model"), **create)


def test_an_approved_version_serves_with_all_that_it_holds(probe: Probe, group: str) -> None:
    arn = register(
        probe,
        group,
        ModelApprovalStatus="Approved",
        InferenceSpecification=inference(probe, "from the registry"),
    )
    model = unique("model")
    container = {"ModelPackageName": arn, "Environment": {"MORE": "model"}}
    probe.sagemaker.create_model(ModelName=model, Containers=[container], ExecutionRoleArn=ROLE)
    assert probe.sagemaker.describe_model(ModelName=model)["Containers"] == [container]
    endpoint = probe.endpoint(probe.config(model))
    assert probe.ask(endpoint, "version") == b"from the registry"
    environment = probe.ask(endpoint, "variables")
    assert b'"FROM": "package"' in environment
    assert b'"MORE": "model"' in environment
