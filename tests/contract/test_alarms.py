"""CloudWatch alarms: defined, evaluated on time, told of, and acted upon."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.cloudwatch_client import PROTOCOLS, cloudwatch
from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import eventually, unique

PATIENCE_S = 180.0
OFTEN = {"Delay": 1, "MaxAttempts": 180}
DIMENSIONS = [{"Name": "Kind", "Value": "test"}]


@pytest.fixture(scope="module", params=PROTOCOLS)
def client(request: pytest.FixtureRequest, server: LocalServer) -> Any:
    return cloudwatch(server, request.param)


def alarm(client: Any, namespace: str | None = None, **more: Any) -> str:
    name = unique("alarm")
    definition = {
        "AlarmName": name,
        "Namespace": namespace or f"Test/{uuid.uuid4().hex}",
        "MetricName": "m",
        "Dimensions": DIMENSIONS,
        "Statistic": "Maximum",
        "Period": 10,
        "EvaluationPeriods": 1,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
        **more,
    }
    client.put_metric_alarm(**{key: value for key, value in definition.items() if value is not None})
    return name


def described(client: Any, name: str) -> dict[str, Any]:
    (found,) = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return dict(found)


def state(client: Any, name: str) -> str:
    return str(described(client, name)["StateValue"])


def put(client: Any, namespace: str, value: float) -> None:
    client.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {"MetricName": "m", "Dimensions": DIMENSIONS, "Value": value, "StorageResolution": 1},
        ],
    )


def history(client: Any, name: str, **more: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.describe_alarm_history(AlarmName=name, **more)["AlarmHistoryItems"]
    return items


def test_a_new_alarm_is_as_it_was_put(client: Any) -> None:
    name = alarm(
        client, AlarmDescription="<&>", Tags=[{"Key": "team", "Value": "models"}], DatapointsToAlarm=1
    )
    client.get_waiter("alarm_exists").wait(AlarmNames=[name], WaiterConfig=OFTEN)
    found = described(client, name)
    assert found["StateValue"] == "INSUFFICIENT_DATA"
    assert found["StateReason"] == "Unchecked: Initial alarm creation"
    assert (found["Threshold"], found["Period"], found["DatapointsToAlarm"]) == (5.0, 10, 1)
    assert (found["Dimensions"], found["AlarmDescription"], found["ActionsEnabled"]) == (
        DIMENSIONS,
        "<&>",
        True,
    )
    arn = found["AlarmArn"]
    assert arn == f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{name}"
    client.tag_resource(ResourceARN=arn, Tags=[{"Key": "stage", "Value": "test"}])
    client.untag_resource(ResourceARN=arn, TagKeys=["team"])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "stage", "Value": "test"}]
    for_metric = client.describe_alarms_for_metric(
        Namespace=found["Namespace"], MetricName="m", Dimensions=DIMENSIONS
    )
    assert [each["AlarmName"] for each in for_metric["MetricAlarms"]] == [name]


def test_data_bring_an_alarm_to_alarm_and_back(server: LocalServer) -> None:
    client = server.client("cloudwatch")
    namespace = f"Test/{uuid.uuid4().hex}"
    name = alarm(client, namespace)
    silent = alarm(client, TreatMissingData="breaching", EvaluationPeriods=2)
    doubled = alarm(
        client,
        Namespace=None,
        Metrics=[
            {"Id": "m1", "ReturnData": False, "MetricStat": {"Period": 10, "Stat": "Maximum", "Metric": {
                "Namespace": namespace, "MetricName": "m", "Dimensions": DIMENSIONS}}},
            {"Id": "double", "Expression": "m1 * 2"},
        ],
        **dict.fromkeys(("MetricName", "Dimensions", "Statistic", "Period")),
        Threshold=13.0,
    )  # fmt: skip
    both = unique("composite")
    client.put_composite_alarm(AlarmName=both, AlarmRule=f'ALARM("{name}") AND ALARM({silent})')
    client.get_waiter("composite_alarm_exists").wait(
        AlarmNames=[both], AlarmTypes=["CompositeAlarm"], WaiterConfig=OFTEN
    )

    def fed(value: float, wanted: str) -> bool:
        put(client, namespace, value)
        return state(client, name) == wanted

    eventually(lambda: fed(7.0, "ALARM"), PATIENCE_S)
    found = described(client, name)
    assert found["StateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [7.0 (")
    assert found["StateReason"].endswith(
        ")] was greater than the threshold (5.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    reason = json.loads(found["StateReasonData"])
    assert (reason["recentDatapoints"], reason["threshold"], reason["period"]) == ([7.0], 5.0, 10)
    assert found["StateUpdatedTimestamp"] >= found["AlarmConfigurationUpdatedTimestamp"]
    eventually(lambda: state(client, silent) == "ALARM", PATIENCE_S)
    assert "no datapoints were received for 2 periods" in described(client, silent)["StateReason"]
    eventually(lambda: fed(7.0, "ALARM") and state(client, doubled) == "ALARM", PATIENCE_S)
    eventually(
        lambda: (
            client.describe_alarms(AlarmNames=[both], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0][
                "StateValue"
            ]
            == "ALARM"
        ),
        PATIENCE_S,
    )
    parents = client.describe_alarms(ParentsOfAlarmName=silent)
    assert [each["AlarmName"] for each in parents["CompositeAlarms"]] == [both]
    eventually(lambda: fed(1.0, "OK"), PATIENCE_S)
    summaries = [item["HistorySummary"] for item in history(client, name, HistoryItemType="StateUpdate")]
    assert summaries == ["Alarm updated from ALARM to OK", "Alarm updated from INSUFFICIENT_DATA to ALARM"]
    data = json.loads(history(client, name)[0]["HistoryData"])
    assert (data["oldState"]["stateValue"], data["newState"]["stateValue"]) == ("ALARM", "OK")
    client.delete_alarms(AlarmNames=[both, silent, doubled, name])


def test_a_state_set_by_hand_acts(client: Any, server: LocalServer) -> None:
    sns, sqs = server.client("sns"), server.client("sqs")
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    queue = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    nobody = "arn:aws:lambda:us-east-1:123456789012:function:f"
    name = alarm(client, AlarmActions=[topic, nobody], TreatMissingData="ignore")
    client.set_alarm_state(
        AlarmName=name, StateValue="ALARM", StateReason="by hand", StateReasonData='{"why": 1}'
    )
    assert described(client, name)["StateReasonData"] == '{"why": 1}'
    messages = eventually(
        lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=0).get("Messages"), PATIENCE_S
    )
    told = json.loads(json.loads(messages[0]["Body"])["Message"])
    assert (told["AlarmName"], told["OldStateValue"], told["NewStateValue"], told["NewStateReason"]) == (
        name, "INSUFFICIENT_DATA", "ALARM", "by hand",
    )  # fmt: skip
    assert told["Trigger"]["MetricName"] == "m"
    actions = eventually(
        lambda: len(found := history(client, name, HistoryItemType="Action")) == 2 and found, PATIENCE_S
    )
    assert {item["HistorySummary"] for item in actions} == {
        f"Successfully executed action {topic}",
        f"Failed to execute action {nobody}",
    }
    client.disable_alarm_actions(AlarmNames=[name])
    assert described(client, name)["ActionsEnabled"] is False
    client.enable_alarm_actions(AlarmNames=[name])
    assert described(client, name)["ActionsEnabled"] is True


def test_another_definition_keeps_the_state(client: Any) -> None:
    name = alarm(client, TreatMissingData="ignore")
    client.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="by hand")
    before = described(client, name)
    client.put_metric_alarm(
        AlarmName=name, Namespace="Other", MetricName="n", ExtendedStatistic="p99", Period=60,
        EvaluationPeriods=3, Threshold=1.0, ComparisonOperator="LessThanThreshold", TreatMissingData="ignore",
    )  # fmt: skip
    after = described(client, name)
    assert (after["StateValue"], after["StateReason"]) == ("OK", "by hand")
    assert (after["Namespace"], after["ExtendedStatistic"], after["Dimensions"]) == ("Other", "p99", [])
    assert before["AlarmArn"] == after["AlarmArn"]


def test_pages_and_filters(client: Any) -> None:
    stem = unique("many")
    names = [f"{stem}-{number}" for number in range(5)]
    for name in names:
        client.put_metric_alarm(
            AlarmName=name, Namespace="N", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=1.0, ComparisonOperator="LessThanThreshold", AlarmActions=[f"arn:aws:sns:{stem}"],
            TreatMissingData="ignore",
        )  # fmt: skip
    pages = client.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=stem, PaginationConfig={"PageSize": 2}
    )
    assert [[each["AlarmName"] for each in page["MetricAlarms"]] for page in pages] == [
        names[:2], names[2:4], names[4:],
    ]  # fmt: skip
    client.set_alarm_state(AlarmName=names[3], StateValue="OK", StateReason="by hand")
    found = client.describe_alarms(ActionPrefix=f"arn:aws:sns:{stem}", StateValue="OK")["MetricAlarms"]
    assert [each["AlarmName"] for each in found] == [names[3]]
    client.delete_alarms(AlarmNames=[*names, "never-was"])
    assert client.describe_alarms(AlarmNamePrefix=stem)["MetricAlarms"] == []
    items = client.get_paginator("describe_alarm_history").paginate(
        AlarmName=names[3], ScanBy="TimestampAscending", PaginationConfig={"PageSize": 1}
    )
    assert [item["HistorySummary"] for page in items for item in page["AlarmHistoryItems"]] == [
        f'Alarm "{names[3]}" created',
        "Alarm updated from INSUFFICIENT_DATA to OK",
        f'Alarm "{names[3]}" deleted',
    ]


def error(call: Callable[..., object], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**request)
    answer = refused.value.response["Error"]
    return answer["Code"], answer["Message"]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"Threshold": None}, "Threshold"),
        ({"Period": 15}, "multiple of 60"),
        ({"Statistic": None}, "Statistic"),
        ({"ExtendedStatistic": "p90"}, "Exactly one"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm"),
        ({"TreatMissingData": "panic"}, "panic"),
        ({"Period": 3600, "EvaluationPeriods": 200}, "seven days"),
        ({"Period": 60, "EvaluationPeriods": 1441}, "a day"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "anomaly detection"),
        ({"ComparisonOperator": "NotEqual"}, "enum value set"),
        ({"Metrics": [{"Id": "e", "Expression": "1 + 1"}]}, "cannot be combined"),
        ({"EvaluationInterval": 60}, "EvaluationInterval is not served"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(server: LocalServer, change: dict[str, Any], part: str) -> None:
    code, message = error(lambda: alarm(server.client("cloudwatch"), **change))
    assert code == "ValidationError"
    assert part in message


def test_what_is_not_there_is_said_to_be(client: Any) -> None:
    code, _ = error(client.set_alarm_state, AlarmName="none", StateValue="OK", StateReason="x")
    assert code == "ResourceNotFound"
    gone = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:none"
    assert error(client.list_tags_for_resource, ResourceARN=gone)[0] == "ResourceNotFoundException"
    assert error(client.describe_alarms, NextToken="§")[0] == "InvalidNextToken"
    code, message = error(client.put_composite_alarm, AlarmName="c", AlarmRule="ALARM(none)")
    assert code == "ValidationError"
    assert "do not exist" in message
    name = alarm(client)
    code, _ = error(
        client.set_alarm_state, AlarmName=name, StateValue="OK", StateReason="x", StateReasonData="{"
    )
    assert code == "InvalidFormat"


def test_alarms_survive_a_kill(start_server: Callable[..., LocalServer]) -> None:
    server = start_server()
    client = server.client("cloudwatch")
    name = alarm(client, TreatMissingData="ignore")
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="by hand")
    server.kill()
    server.start()
    found = described(server.client("cloudwatch"), name)
    assert (found["StateValue"], found["StateReason"]) == ("ALARM", "by hand")
