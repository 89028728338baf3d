"""Tags of everything that has an ARN."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from tests.contract.serving_probe import IMAGE, ROLE, Probe, probe, unique

__all__ = ["probe"]
TAGGED = {"Tags": [{"Key": "team", "Value": "a"}]}


def tagged_model(probe: Probe) -> str:
    return str(
        probe.sagemaker.create_model(
            ModelName=unique("m"), PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE, **TAGGED
        )["ModelArn"]
    )


def tagged_config(probe: Probe) -> str:
    return str(
        probe.sagemaker.create_endpoint_config(
            EndpointConfigName=unique("c"), ProductionVariants=[probe.variant(probe.model())], **TAGGED
        )["EndpointConfigArn"]
    )


def tagged_endpoint(probe: Probe) -> str:
    return str(
        probe.sagemaker.create_endpoint(
            EndpointName=unique("e"), EndpointConfigName=probe.config(), **TAGGED
        )["EndpointArn"]
    )


def tagged_group(probe: Probe) -> str:
    return str(
        probe.sagemaker.create_model_package_group(ModelPackageGroupName=unique("g"), **TAGGED)[
            "ModelPackageGroupArn"
        ]
    )


@pytest.mark.parametrize("create", [tagged_model, tagged_config, tagged_endpoint, tagged_group])
def test_tags_are_set_added_overwritten_and_deleted(probe: Probe, create: Callable[[Probe], str]) -> None:
    arn = create(probe)

    def held() -> dict[str, str]:
        tags = probe.sagemaker.list_tags(ResourceArn=arn)["Tags"]
        return {tag["Key"]: tag["Value"] for tag in tags}

    assert held() == {"team": "a"}
    added = [{"Key": "team", "Value": "b"}, {"Key": "run", "Value": "1"}]
    assert probe.sagemaker.add_tags(ResourceArn=arn, Tags=added)["Tags"] == added
    assert held() == {"team": "b", "run": "1"}
    probe.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team", "unknown"])
    assert held() == {"run": "1"}


def test_tags_go_with_their_resource(probe: Probe) -> None:
    name = unique("m")
    create = {"ModelName": name, "PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": ROLE}
    arn = probe.sagemaker.create_model(**create, **TAGGED)["ModelArn"]
    probe.sagemaker.delete_model(ModelName=name)
    with pytest.raises(ClientError, match=re.escape(f'Could not find model "{arn}".')):
        probe.sagemaker.list_tags(ResourceArn=arn)
    probe.sagemaker.create_model(**create)
    assert probe.sagemaker.list_tags(ResourceArn=arn)["Tags"] == []


@pytest.mark.parametrize(
    ("resource", "noun"),
    [("model/none", "model"), ("training-job/none", "training job"), ("endpoint/none", "endpoint")],
)
def test_tags_of_what_is_not_there_are_refused(probe: Probe, resource: str, noun: str) -> None:
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:{resource}"
    with pytest.raises(ClientError, match=re.escape(f'Could not find {noun} "{arn}".')):
        probe.sagemaker.add_tags(ResourceArn=arn, **TAGGED)


def test_a_resource_has_at_most_fifty_tags(probe: Probe) -> None:
    arn = tagged_model(probe)
    more = [{"Key": f"key-{number}", "Value": ""} for number in range(49)]
    probe.sagemaker.add_tags(ResourceArn=arn, Tags=more)
    with pytest.raises(ClientError, match=r"ResourceLimitExceeded.*would have 51 tags"):
        probe.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "one", "Value": "too many"}])
    assert len(probe.sagemaker.list_tags(ResourceArn=arn)["Tags"]) == 50
