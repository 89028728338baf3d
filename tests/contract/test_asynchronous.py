"""Asynchronous inference: accepted at once, done once, told to SNS, whatever dies meanwhile."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import pytest
from botocore.exceptions import ClientError

from tests.contract.serving_probe import BUCKET, Probe, eventually, probe, unique

__all__ = ["probe"]


class Queue:
    """A topic's messages, by way of SQS."""

    def __init__(self, probe: Probe, stem: str) -> None:
        name = unique(stem)
        sns, self.sqs = probe.server.client("sns"), probe.server.client("sqs")
        self.topic: str = sns.create_topic(Name=name)["TopicArn"]
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])

    def next(self) -> Any:
        def receive() -> Any:
            return self.sqs.receive_message(QueueUrl=self.url).get("Messages")

        (message,) = eventually(receive)
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return json.loads(json.loads(message["Body"])["Message"])


class Asynchronous:
    """An asynchronous endpoint and the objects it makes."""

    def __init__(self, probe: Probe, *, concurrent: int = 4, failures: bool = True, **output: Any) -> None:
        self.probe, self.prefix = probe, unique("async")
        config = unique("config")
        if failures:
            output["S3FailurePath"] = f"s3://{BUCKET}/{self.prefix}/failed"
        probe.sagemaker.create_endpoint_config(
            EndpointConfigName=config,
            ProductionVariants=[probe.variant(probe.model())],
            AsyncInferenceConfig={
                "ClientConfig": {"MaxConcurrentInvocationsPerInstance": concurrent},
                "OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/{self.prefix}/out/", **output},
            },
        )
        self.name = probe.endpoint(config)

    def put(self, body: bytes) -> str:
        key = f"{self.prefix}/in/{unique('input')}"
        self.probe.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def submit(self, body: bytes, what: str = "text/csv", **more: Any) -> dict[str, Any]:
        content_type = what if "/" in what else f"application/x-{what}"
        answer: dict[str, Any] = self.probe.runtime.invoke_endpoint_async(
            EndpointName=self.name, InputLocation=self.put(body), ContentType=content_type, **more
        )
        return answer

    def outcome(self, location: str) -> bytes:
        where = urlparse(location)

        def read() -> Any:
            try:
                return (self.probe.s3.get_object(Bucket=where.netloc, Key=where.path[1:])["Body"].read(),)
            except ClientError:
                return None

        body: bytes = eventually(read)[0]
        return body

    def outputs(self) -> list[str]:
        pages = self.probe.s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{self.prefix}/out/"
        )
        return [each["Key"] for page in pages for each in page.get("Contents", [])]


@pytest.fixture(scope="module")
def endpoint(probe: Probe) -> Asynchronous:
    return Asynchronous(probe)


def test_a_request_is_accepted_and_its_answer_becomes_an_object(endpoint: Asynchronous) -> None:
    answer = endpoint.submit(b"1,2\n", InferenceId="mine", Accept="text/plain")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["InferenceId"] == "mine"
    assert answer["OutputLocation"].startswith(f"s3://{BUCKET}/{endpoint.prefix}/out/")
    assert answer["OutputLocation"].endswith(".out")
    assert answer["FailureLocation"].endswith("-error.out")
    assert endpoint.outcome(answer["OutputLocation"]) == b"1,2\n"
    where = urlparse(answer["OutputLocation"])
    head = endpoint.probe.s3.head_object(Bucket=BUCKET, Key=where.path[1:])
    assert head["ContentType"] == "text/plain"


def test_a_payload_can_come_with_the_request(endpoint: Asynchronous) -> None:
    answer = endpoint.probe.runtime.invoke_endpoint_async(
        EndpointName=endpoint.name,
        Body=b"inline",
        ContentType="text/csv",
        S3OutputPathExtension="day/one",
        Filename="named.csv",
    )
    assert answer["OutputLocation"] == f"s3://{BUCKET}/{endpoint.prefix}/out/day/one/named.csv"
    assert endpoint.outcome(answer["OutputLocation"]) == b"inline"
    assert answer["InferenceId"]


def test_an_error_of_the_container_becomes_an_object_too(endpoint: Asynchronous) -> None:
    answer = endpoint.submit(b"418", "status")
    assert endpoint.outcome(answer["FailureLocation"]) == b"asked for 418"
    missing = endpoint.probe.runtime.invoke_endpoint_async(
        EndpointName=endpoint.name, InputLocation=f"s3://{BUCKET}/nothing/here"
    )
    assert b"Failed to download the input" in endpoint.outcome(missing["FailureLocation"])
    late = endpoint.submit(b"30", "pause", InvocationTimeoutSeconds=1)
    assert b"timed out" in endpoint.outcome(late["FailureLocation"])


def test_notifications_arrive(probe: Probe) -> None:
    done, failed = Queue(probe, "done"), Queue(probe, "failed")
    topics = {
        "SuccessTopic": done.topic,
        "ErrorTopic": failed.topic,
        "IncludeInferenceResponseIn": ["SUCCESS_NOTIFICATION_TOPIC"],
    }
    endpoint = Asynchronous(probe, failures=False, NotificationConfig=topics)
    answer = endpoint.submit(b"1,2\n", InferenceId="told", Accept="text/plain")
    assert "FailureLocation" not in answer
    message = done.next()
    assert message["invocationStatus"] == "Completed"
    assert message["inferenceId"] == "told"
    assert message["responseParameters"] == {
        "contentType": "text/plain",
        "outputLocation": answer["OutputLocation"],
    }
    assert message["requestParameters"]["endpointName"] == endpoint.name
    assert base64.b64decode(message["responseBody"]["content"]) == b"1,2\n"
    assert endpoint.outcome(answer["OutputLocation"]) == b"1,2\n"  # told only once it is there
    endpoint.submit(b"500", "status", InferenceId="refused")
    message = failed.next()
    assert (message["invocationStatus"], message["inferenceId"]) == ("Failed", "refused")
    assert "Received server error (500)" in message["failureReason"]
    assert (message["eventSource"], message["eventName"]) == ("aws:sagemaker", "InferenceResult")
    probe.delete(endpoint.name)


def test_no_more_than_so_many_at_once(probe: Probe) -> None:
    endpoint = Asynchronous(probe, concurrent=1)
    started = time.monotonic()
    answers = [endpoint.submit(b"0.5", "pause") for _ in range(4)]
    for answer in answers:
        endpoint.outcome(answer["OutputLocation"])
    assert time.monotonic() - started >= 2.0, "one after the other takes that long"
    probe.delete(endpoint.name)


def test_what_was_accepted_survives_a_kill_and_ends_once(probe: Probe) -> None:
    endpoint = Asynchronous(probe, concurrent=2)
    slow = [endpoint.submit(b"1", "pause") for _ in range(4)]
    quick = [endpoint.submit(f"row-{number}".encode()) for number in range(40)]
    probe.server.kill()
    probe.server.start()
    probe.connect()
    for answer in slow:
        assert endpoint.outcome(answer["OutputLocation"]) == b"1"
    for number, answer in enumerate(quick):
        assert endpoint.outcome(answer["OutputLocation"]) == f"row-{number}".encode()
    assert len(endpoint.outputs()) == 44
    probe.delete(endpoint.name)


def test_a_container_that_dies_with_a_request_gets_it_again_and_then_it_fails(endpoint: Asynchronous) -> None:
    answer = endpoint.submit(b"", "die")
    assert b"exception occurred while sending request to model" in endpoint.outcome(answer["FailureLocation"])
    again = endpoint.submit(b"goes on")
    assert endpoint.outcome(again["OutputLocation"]) == b"goes on"


def test_a_deleted_endpoints_queue_is_gone_and_another_of_its_name_does_not_get_it(probe: Probe) -> None:
    first = Asynchronous(probe, concurrent=1)
    held = first.submit(b"10", "pause")  # longer than until the endpoint is being deleted
    waiting = first.submit(b"never")
    probe.delete(first.name)
    config = probe.config()
    probe.sagemaker.create_endpoint(EndpointName=first.name, EndpointConfigName=config)
    probe.wait(first.name)
    time.sleep(1)
    assert urlparse(waiting["OutputLocation"]).path[1:] not in first.outputs()
    assert held["OutputLocation"]
    probe.delete(first.name)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "exactly one of InputLocation and Body"),
        ({"Body": b"x", "InputLocation": "s3://bucket/key"}, "exactly one of InputLocation and Body"),
        ({"InputLocation": "ftp://bucket/key"}, "inputLocation"),
        ({"InputLocation": "s3://bucket/key", "RequestTTLSeconds": 5}, "requestTTLSeconds"),
        ({"InputLocation": "s3://bucket/key", "InvocationTimeoutSeconds": 4000}, "invocationTimeoutSeconds"),
        ({"InputLocation": "s3://bucket/key", "Filename": "../up"}, "filename"),
        ({"Body": b"x" * 128_001}, "length less than or equal to 128000"),
        ({"EndpointName": "none", "Body": b"x"}, "Endpoint none of account 123456789012 not found"),
    ],
)
def test_what_cannot_be_is_a_validation_error(
    endpoint: Asynchronous, parameters: dict[str, Any], message: str
) -> None:
    # The client checks some of this itself.
    runtime = endpoint.probe.server.client("sagemaker-runtime", parameter_validation=False)
    with pytest.raises(ClientError, match=message) as refused:
        runtime.invoke_endpoint_async(**{"EndpointName": endpoint.name, **parameters})
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_each_kind_of_endpoint_takes_its_own_calls(probe: Probe, endpoint: Asynchronous) -> None:
    calls: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
        (probe.runtime.invoke_endpoint, {"EndpointName": endpoint.name, "Body": b""}, "is an asynchronous"),
        (
            probe.runtime.invoke_endpoint_async,
            {"EndpointName": probe.endpoint(), "InputLocation": "s3://bucket/key"},
            "is not an asynchronous",
        ),
    ]
    for call, parameters, message in calls:
        with pytest.raises(ClientError, match=message) as refused:
            call(**parameters)
        assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_describe_tells_where_outputs_go_and_a_config_without_is_refused(
    probe: Probe, endpoint: Asynchronous
) -> None:
    described = probe.describe(endpoint.name)["AsyncInferenceConfig"]
    assert described["OutputConfig"]["S3OutputPath"] == f"s3://{BUCKET}/{endpoint.prefix}/out/"
    with pytest.raises(ClientError, match="S3OutputPath is required"):
        probe.sagemaker.create_endpoint_config(
            EndpointConfigName=unique("config"),
            ProductionVariants=[probe.variant(probe.model())],
            AsyncInferenceConfig={"OutputConfig": {}},
        )
