"""CloudWatch metrics, in every protocol that its clients speak."""

from __future__ import annotations

import datetime
import gzip
import time
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from tests.contract.cloudwatch_client import PROTOCOLS, cloudwatch
from tests.contract.conftest import LocalServer

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=test/20261120/us-east-1/monitoring/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture(scope="module", params=PROTOCOLS)
def client(request: pytest.FixtureRequest, server: LocalServer) -> Any:
    return cloudwatch(server, request.param)


@pytest.fixture
def namespace() -> str:
    return f"Test/{uuid.uuid4().hex}"


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def statistics(client: Any, namespace: str, **more: Any) -> list[dict[str, Any]]:
    asked = {
        "Namespace": namespace,
        "MetricName": "m",
        "StartTime": now() - 5 * MINUTE,
        "EndTime": now() + MINUTE,
        "Period": 3600,
        "Statistics": ["SampleCount", "Sum", "Average", "Minimum", "Maximum"],
        **more,
    }
    points: list[dict[str, Any]] = client.get_metric_statistics(**asked)["Datapoints"]
    return points


def query(namespace: str, stat: str = "Sum", id_: str = "m1", period: int = 3600) -> dict[str, Any]:
    metric = {"Namespace": namespace, "MetricName": "m"}
    return {"Id": id_, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}


def data(client: Any, *queries: dict[str, Any], **more: Any) -> dict[str, list[float]]:
    answer = client.get_metric_data(
        MetricDataQueries=list(queries), StartTime=now() - 5 * MINUTE, EndTime=now() + MINUTE, **more
    )
    return {each["Id"]: each["Values"] for each in answer["MetricDataResults"]}


def test_what_was_put_is_told_by_statistic(client: Any, namespace: str) -> None:
    client.put_metric_data(
        Namespace=namespace,
        MetricData=[{"MetricName": "m", "Value": float(value), "Unit": "Seconds"} for value in range(1, 41)],
    )
    (point,) = statistics(client, namespace, ExtendedStatistics=["p50", "p99.9", "tm90"])
    assert (point["SampleCount"], point["Sum"], point["Minimum"], point["Maximum"]) == (40, 820, 1, 40)
    assert point["Average"] == 20.5
    assert point["ExtendedStatistics"] == {"p50": 20.0, "p99.9": 40.0, "tm90": 18.5}
    assert point["Unit"] == "Seconds"
    assert statistics(client, namespace, Unit="Bytes") == []


def test_values_with_counts_and_statistic_sets_add_up(client: Any, namespace: str) -> None:
    client.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {"MetricName": "m", "Values": [1.0, 5.0], "Counts": [3.0, 1.0]},
            {
                "MetricName": "m",
                "StatisticValues": {"SampleCount": 2.0, "Sum": 10.0, "Minimum": 4.0, "Maximum": 6.0},
            },
        ],
    )
    (point,) = statistics(client, namespace, ExtendedStatistics=["p90"])
    assert (point["SampleCount"], point["Sum"], point["Minimum"], point["Maximum"]) == (6, 18, 1, 6)
    assert "ExtendedStatistics" not in point  # as on AWS: a statistic set does not tell percentiles


def test_times_come_back_as_they_went(client: Any, namespace: str) -> None:
    at = now().replace(second=7, microsecond=0) - 3 * MINUTE
    client.put_metric_data(
        Namespace=namespace,
        MetricData=[{"MetricName": "m", "Value": 2.5, "Timestamp": at, "StorageResolution": 1}],
    )
    (fine,) = statistics(client, namespace, Period=1)
    assert fine["Timestamp"] == at
    (coarse,) = statistics(client, namespace, Period=60)
    assert coarse["Timestamp"] == at.replace(second=0)


def test_expressions(client: Any, namespace: str) -> None:
    client.put_metric_data(
        Namespace=namespace, MetricData=[{"MetricName": "m", "Values": [2.0, 6.0], "Counts": [1.0, 1.0]}]
    )
    other = f"{namespace}/other"
    client.put_metric_data(Namespace=other, MetricData=[{"MetricName": "m", "Value": 4.0}])
    expressions = {
        "ratio": "100 * m1 / m2",
        "total": "SUM(METRICS())",
        "filled": "FILL(m3, 7)",
        "chosen": "IF(m1 > 5 AND m2 < 5, m1, m2)",
        "nested": "-(m1 - ratio / 2 ^ 2)",
    }
    answers = data(
        client,
        query(namespace),
        query(other, id_="m2"),
        query(f"{namespace}/none", id_="m3") | {"ReturnData": False},
        *({"Id": name, "Expression": text} for name, text in expressions.items()),
    )
    assert answers.pop("filled")[-1] == 7.0
    assert answers == {
        "m1": [8.0], "m2": [4.0], "ratio": [200.0], "total": [12.0], "chosen": [8.0], "nested": [42.0],
    }  # fmt: skip


def test_pages_of_metric_data(client: Any, namespace: str) -> None:
    first = now().replace(microsecond=0) - MINUTE
    client.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {"MetricName": "m", "Value": float(number), "StorageResolution": 1,
             "Timestamp": first + datetime.timedelta(seconds=number)}
            for number in range(7)
        ],
    )  # fmt: skip
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[query(namespace, period=1)], StartTime=first, EndTime=now() + MINUTE,
        ScanBy="TimestampAscending", PaginationConfig={"PageSize": 3},
    )  # fmt: skip
    values = [page["MetricDataResults"][0]["Values"] for page in pages]
    assert values == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0]]


def test_metrics_are_listed_by_their_dimensions(client: Any, namespace: str) -> None:
    def dimensions(**values: str) -> list[dict[str, str]]:
        return [{"Name": name, "Value": value} for name, value in values.items()]

    for given in ({"a": "1"}, {"a": "2"}, {"a": "1", "b": "x & <y>"}):
        client.put_metric_data(
            Namespace=namespace,
            MetricData=[{"MetricName": "m", "Value": 1.0, "Dimensions": dimensions(**given)}],
        )
    pages = client.get_paginator("list_metrics").paginate(Namespace=namespace)
    listed = [each["Dimensions"] for page in pages for each in page["Metrics"]]
    assert listed == [dimensions(a="1"), dimensions(a="1", b="x & <y>"), dimensions(a="2")]
    filtered = client.list_metrics(Namespace=namespace, Dimensions=[{"Name": "b"}], RecentlyActive="PT3H")
    assert [each["Dimensions"] for each in filtered["Metrics"]] == [dimensions(a="1", b="x & <y>")]


def error(call: Callable[..., object], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**request)
    answer = refused.value.response["Error"]
    return answer["Code"], answer["Message"]


@pytest.mark.parametrize(
    ("datum", "code", "part"),
    [
        ({"Value": float("nan")}, "InvalidParameterValue", "Value must be a number"),
        ({"Value": float("inf")}, "InvalidParameterValue", "Value must be a number"),
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination", "mutually exclusive"),
        ({}, "InvalidParameterCombination", "none"),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, "InvalidParameterValue", "Counts as many"),
        ({"Value": 1.0, "StorageResolution": 5}, "InvalidParameterValue", "must be 1 or 60"),
        ({"Value": 1.0, "Timestamp": datetime.datetime(2020, 1, 1)}, "InvalidParameterValue", "two weeks"),
        ({"Value": 1.0, "Unit": "Parsec"}, "ValidationError", "enum value set"),
    ],
)  # fmt: skip
def test_wrong_data_are_refused_whole(
    client: Any, namespace: str, datum: dict[str, Any], code: str, part: str
) -> None:
    good = {"MetricName": "m", "Value": 1.0}
    got, message = error(
        client.put_metric_data, Namespace=namespace, MetricData=[good, {"MetricName": "m", **datum}]
    )
    assert got == code
    assert part in message
    assert client.list_metrics(Namespace=namespace)["Metrics"] == []


def test_wrong_questions_are_refused(client: Any, namespace: str) -> None:
    ask = client.get_metric_data
    times = {"StartTime": now() - MINUTE, "EndTime": now()}

    def expression(text: str) -> tuple[str, str]:
        return error(ask, MetricDataQueries=[query(namespace), {"Id": "e", "Expression": text}], **times)

    for text in ("m1 +", "SEARCH('x', 'Sum')", "m1 $ m1", "m9 + 1", "e + 1", "(" * 100):
        code, message = expression(text)
        assert code == "InvalidParameterValue", text
        assert "e" in message
    assert "SEARCH" in expression("SEARCH('x', 'Sum')")[1]
    assert error(ask, MetricDataQueries=[query(namespace, "p101")], **times)[0] == "InvalidParameterValue"
    assert error(ask, MetricDataQueries=[query(namespace, period=7)], **times)[0] == "InvalidParameterValue"
    assert error(ask, MetricDataQueries=[query(namespace)], StartTime=now(), EndTime=now() - MINUTE)[0] == (
        "InvalidParameterValue"
    )
    code, message = error(
        client.get_metric_statistics, Namespace=namespace, MetricName="m", Period=1, Statistics=["Sum"],
        StartTime=now() - 100 * MINUTE, EndTime=now(),
    )  # fmt: skip
    assert code == "InvalidParameterCombination"
    assert "exceeds the limit of 1,440" in message
    assert error(client.list_metrics, NextToken="mine")[0] == "InvalidNextToken"
    assert error(client.list_dashboards)[0] in ("UnknownOperationException", "UnknownOperation")


def raw(server: LocalServer, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(server.url + path, body, {"Authorization": SIGNED, **headers})  # noqa: S310
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - the server's address
            return answer.status, answer.read()
    except HTTPError as failed:
        return failed.code, failed.read()


CBOR = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
CBOR_HEADERS = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}
JSON_HEADERS = {
    "X-Amz-Target": "GraniteServiceVersion20100801.ListMetrics",
    "Content-Type": "application/x-amz-json-1.0",
}
FORM_HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (CBOR, b"\xff\xff", CBOR_HEADERS),
        (CBOR, b"\x9f" * 100_000, CBOR_HEADERS),
        (CBOR, b"\x83\x01\x02", CBOR_HEADERS),
        (CBOR, b"\xa0\xa0", CBOR_HEADERS),
        ("/", b"{", JSON_HEADERS),
        ("/", b"[" * 100_000, JSON_HEADERS),
        ("/", b"[]", JSON_HEADERS),
        ("/", b"\xff", {**JSON_HEADERS, "Content-Encoding": "gzip"}),
        ("/", gzip.compress(bytes(40_000_000)), {**JSON_HEADERS, "Content-Encoding": "gzip"}),
        ("/", b"Action=ListMetrics&Dimensions.member.x.Name=a", FORM_HEADERS),
        ("/", b"Action=ListMetrics&Dimensions=1&Dimensions.member.1.Name=a", FORM_HEADERS),
        ("/", b"Action=ListMetrics&" + b"a." * 2000 + b"a=1", FORM_HEADERS),
        ("/", b"Action=Nothing", FORM_HEADERS),
    ],
)
def test_what_is_no_request_is_a_client_error(
    server: LocalServer, path: str, body: bytes, headers: dict[str, str]
) -> None:
    status, answer = raw(server, path, body, **headers)
    assert status == 400, answer


def test_compressed_requests_are_read(server: LocalServer) -> None:
    body = gzip.compress(b"{}")
    status, answer = raw(server, "/", body, **JSON_HEADERS, **{"Content-Encoding": "gzip"})
    assert (status, answer[:11]) == (200, b'{"Metrics":')


def test_acknowledged_data_survive_a_kill(start_server: Callable[..., LocalServer], namespace: str) -> None:
    server = start_server()
    client = server.client("cloudwatch")
    for value in range(20):
        client.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "m", "Value": float(value)}])
    server.kill()
    server.start()
    (point,) = statistics(server.client("cloudwatch"), namespace)
    assert (point["SampleCount"], point["Sum"]) == (20, 190)


def test_metrics_of_trial_components(server: LocalServer) -> None:
    client = server.client("sagemaker-metrics")
    name = f"trial-{uuid.uuid4().hex[:8]}"
    at = datetime.datetime.fromtimestamp(int(time.time()) // 60 * 60, datetime.UTC)
    client.batch_put_metrics(
        TrialComponentName=name,
        MetricData=[
            {"MetricName": "loss", "Timestamp": at, "Step": step, "Value": 1.0 / (step + 1)}
            for step in range(4)
        ],
    )
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:experiment-trial-component/{name}"

    def ask(**more: Any) -> dict[str, Any]:
        asked = {"MetricName": "loss", "ResourceArn": arn, "MetricStat": "Last", **more}
        (result,) = client.batch_get_metrics(MetricQueries=[asked])["MetricQueryResults"]
        return dict(result)

    by_step = ask(Period="IterationNumber", XAxisType="IterationNumber", Start=1, End=2)
    assert (by_step["Status"], by_step["XAxisValues"]) == ("Complete", [1, 2])
    assert by_step["MetricValues"] == pytest.approx([1 / 2, 1 / 3])
    by_time = ask(Period="OneMinute", XAxisType="Timestamp", MetricStat="Count")
    assert (by_time["XAxisValues"], by_time["MetricValues"]) == ([int(at.timestamp())], [4.0])
    assert ask(Period="OneMinute", XAxisType="IterationNumber")["Status"] == "ValidationError"
    with pytest.raises(ClientError) as refused:
        client.batch_put_metrics(TrialComponentName="Not_A_Name", MetricData=[
            {"MetricName": "loss", "Timestamp": at, "Value": 1.0}])  # fmt: skip
    assert refused.value.response["Error"]["Code"] == "ValidationException"
