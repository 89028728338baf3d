"""SNS, SQS and EventBridge through boto3: what SageMaker's notifications go through."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

Client = Callable[..., Any]


def test_what_is_published_arrives_in_a_subscribed_queue(client: Client, server: Any) -> None:
    sns, sqs = client("sns"), client("sqs")
    name = f"name-{uuid.uuid4().hex[:8]}"
    topic = sns.create_topic(Name=name)["TopicArn"]
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    assert url == f"{server.url}/123456789012/{name}"
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    sns.publish(TopicArn=topic, Message="it is done")
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)["Messages"]
    assert json.loads(message["Body"])["Message"] == "it is done"
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert url in sqs.list_queues()["QueueUrls"]


def test_rules_of_eventbridge(client: Client) -> None:
    events = client("events")
    name = f"rule-{uuid.uuid4().hex[:8]}"
    pattern = json.dumps({"source": ["aws.sagemaker"]})
    assert events.put_rule(Name=name, EventPattern=pattern)["RuleArn"].endswith(f"rule/{name}")
    assert events.describe_rule(Name=name)["EventPattern"] == pattern
