"""IAM, STS and ECR through boto3: what SageMaker's clients ask before they start."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

Client = Callable[..., Any]


def test_the_caller_is_an_assumed_role(client: Client) -> None:
    caller = client("sts").get_caller_identity()
    assert caller["Arn"] == "arn:aws:sts::123456789012:assumed-role/sagemaker/sagemaker-local"
    assert caller["Account"] == "123456789012"


def test_credentials_of_an_assumed_role_know_it(client: Client, server: Any) -> None:
    credentials = client("sts").assume_role(
        RoleArn="arn:aws:iam::123456789012:role/other", RoleSessionName="session"
    )["Credentials"]
    sts = boto3.client(
        "sts",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )
    assert sts.get_caller_identity()["Arn"] == "arn:aws:sts::123456789012:assumed-role/other/session"


def test_any_role_of_the_account_is_there(client: Client) -> None:
    iam = client("iam")
    name = f"role-{uuid.uuid4().hex[:8]}"
    role = iam.get_role(RoleName=name)["Role"]
    assert role["Arn"] == f"arn:aws:iam::123456789012:role/{name}"
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {
        "Service": "sagemaker.amazonaws.com"
    }
    assert iam.get_role(RoleName=name)["Role"]["RoleId"] == role["RoleId"]
    assert name in [each["RoleName"] for each in iam.list_roles()["Roles"]]


def test_a_role_that_was_created_stays_as_it_is(client: Client) -> None:
    iam = client("iam")
    name = f"role-{uuid.uuid4().hex[:8]}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}", Path="/service-role/", Description="mine")
    assert iam.get_role(RoleName=name)["Role"]["Description"] == "mine"


def test_every_action_is_allowed(client: Client) -> None:
    answer = client("iam").simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::123456789012:role/sagemaker",
        ActionNames=["s3:GetObject", "ecr:BatchGetImage"],
        ResourceArns=["arn:aws:s3:::one", "arn:aws:s3:::two"],
    )
    results = answer["EvaluationResults"]
    assert [(each["EvalActionName"], each["EvalResourceName"]) for each in results] == [
        ("s3:GetObject", "arn:aws:s3:::one"),
        ("s3:GetObject", "arn:aws:s3:::two"),
        ("ecr:BatchGetImage", "arn:aws:s3:::one"),
        ("ecr:BatchGetImage", "arn:aws:s3:::two"),
    ]
    assert {each["EvalDecision"] for each in results} == {"allowed"}
    assert answer["IsTruncated"] is False


def test_repositories(client: Client) -> None:
    ecr = client("ecr")
    name = f"image-{uuid.uuid4().hex[:8]}"
    created = ecr.create_repository(repositoryName=name)["repository"]
    assert created["repositoryUri"] == f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{name}"
    assert ecr.describe_repositories(repositoryNames=[name])["repositories"][0]["repositoryArn"]
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.describe_repositories(repositoryNames=["absent"])


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("iam", "GetContextKeysForCustomPolicy", {"PolicyInputList": ["{}"]}),
        ("ecr", "GetAccountSetting", {"name": "x"}),
    ],
)
def test_what_moto_lacks_is_refused_by_name(
    client: Client, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    caller = client(service)
    method = next(method for method, name in caller.meta.method_to_api_mapping.items() if name == operation)
    with pytest.raises(ClientError, match=operation) as error:
        getattr(caller, method)(**arguments)
    assert error.value.response["Error"]["Code"] == "UnknownOperationException"


def test_another_account_and_region(start_server: Callable[..., Any]) -> None:
    server = start_server("--account", "111122223333")
    assert server.client("sts").get_caller_identity()["Account"] == "111122223333"
    role = server.client("iam").get_role(RoleName="r")["Role"]
    assert role["Arn"] == "arn:aws:iam::111122223333:role/r"
