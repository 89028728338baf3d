"""Models of several containers: inference pipelines, and containers that requests name."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.serving_probe import IMAGE, ROLE, Probe, eventually, probe, unique

__all__ = ["probe"]


def container(hostname: str | None = None, **environment: str) -> dict[str, Any]:
    named = {"ContainerHostname": hostname} if hostname else {}
    return {"Image": IMAGE, "Environment": environment, **named}


def endpoint(probe: Probe, mode: str, *containers: dict[str, Any]) -> str:
    model = unique("model")
    probe.sagemaker.create_model(
        ModelName=model,
        Containers=list(containers),
        InferenceExecutionConfig={"Mode": mode},
        ExecutionRoleArn=ROLE,
    )
    return probe.endpoint(probe.config(model))


@pytest.fixture(scope="module")
def pipeline(probe: Probe) -> str:
    return endpoint(probe, "Serial", *(container(SUFFIX=each, ANSWER_TYPE="text/csv") for each in "abc"))


@pytest.fixture(scope="module")
def direct(probe: Probe) -> str:
    return endpoint(probe, "Direct", container("first", SUFFIX="-1"), container("second", SUFFIX="-2"))


def test_each_container_gets_what_the_one_before_it_answered(probe: Probe, pipeline: str) -> None:
    answer = probe.runtime.invoke_endpoint(EndpointName=pipeline, Body=b"x", ContentType="text/csv")
    assert (answer["Body"].read(), answer["ContentType"]) == (b"xabc", "text/csv")


def test_a_container_that_refuses_ends_the_pipeline(probe: Probe) -> None:
    name = endpoint(probe, "Serial", container(ANSWER_TYPE="application/x-status"), container(), container())
    with pytest.raises(probe.runtime.exceptions.ModelError) as failed:
        probe.ask(name, body=b"418")
    assert failed.value.response["OriginalStatusCode"] == 418
    probe.delete(name)


def test_a_container_that_dies_comes_back_into_the_pipeline(probe: Probe, pipeline: str) -> None:
    with pytest.raises(ClientError):
        probe.ask(pipeline, "die")

    def answered() -> bool:
        try:
            return probe.ask(pipeline, body=b"y") == b"yabc"
        except ClientError:
            return False

    eventually(answered)


def test_a_request_names_its_container(probe: Probe, direct: str) -> None:
    for hostname, suffix in (("first", b"-1"), ("second", b"-2"), ("first", b"-1")):
        assert probe.ask(direct, body=b"x", TargetContainerHostname=hostname) == b"x" + suffix


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "missing a target container hostname header"),
        (
            {"TargetContainerHostname": "third"},
            "Container third is not one of this endpoint's: first, second",
        ),
        ({"TargetModel": "a.tar.gz"}, "is not a multi-model endpoint"),
    ],
)
def test_a_request_that_names_none_is_a_validation_error(
    probe: Probe, direct: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message) as refused:
        probe.ask(direct, **more)
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_a_pipelines_containers_cannot_be_named(probe: Probe, pipeline: str) -> None:
    with pytest.raises(ClientError, match="cannot be invoked directly"):
        probe.ask(pipeline, TargetContainerHostname="container-1")


def test_all_containers_must_come_up(probe: Probe) -> None:
    model = unique("model")
    probe.sagemaker.create_model(
        ModelName=model, Containers=[container(), container(EXIT_CODE="3")], ExecutionRoleArn=ROLE
    )
    name = probe.endpoint(probe.config(model), wait=False)
    assert probe.ended(name)["EndpointStatus"] == "Failed"
    eventually(lambda: any(line.startswith("[container-2]") for line in probe.printed(name)))


def test_they_come_back_after_a_kill(probe: Probe, pipeline: str, direct: str) -> None:
    probe.server.kill()
    probe.server.start()
    probe.connect()
    for name in (pipeline, direct):
        probe.ended(name)
    assert probe.ask(pipeline, body=b"x") == b"xabc"
    assert probe.ask(direct, body=b"x", TargetContainerHostname="second") == b"x-2"


@pytest.mark.parametrize(
    ("containers", "mode", "message"),
    [
        ([container("one"), container("one")], "Serial", "Duplicate ContainerHostname"),
        ([container("one"), container()], "Direct", "ContainerHostname is required"),
        (
            [container(), {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": "s3://bucket/models/"}],
            "Serial",
            "MultiModel beside other containers",
        ),
    ],
)
def test_models_that_cannot_be_are_refused(
    probe: Probe, containers: list[dict[str, Any]], mode: str, message: str
) -> None:
    with pytest.raises(ClientError, match=message) as refused:
        probe.sagemaker.create_model(
            ModelName=unique("model"),
            Containers=containers,
            InferenceExecutionConfig={"Mode": mode},
            ExecutionRoleArn=ROLE,
        )
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_describe_tells_all_containers(probe: Probe) -> None:
    model = unique("model")
    probe.sagemaker.create_model(
        ModelName=model, Containers=[container("one"), container("two")], ExecutionRoleArn=ROLE
    )
    described = probe.sagemaker.describe_model(ModelName=model)["Containers"]
    assert [each["ContainerHostname"] for each in described] == ["one", "two"]
