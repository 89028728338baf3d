"""`/_local/faults`: what is asked for happens, to those calls only, as often as asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.contract.conftest import LocalServer


@pytest.fixture
def faults(server: LocalServer) -> Iterator[Callable[..., Any]]:
    """A function that sets the rules; afterwards there are none."""

    def put(*rules: dict[str, Any], seed: int | None = None) -> Any:
        answer = httpx.put(f"{server.url}/_local/faults", json={"seed": seed, "rules": list(rules)})
        assert answer.status_code == 200, answer.text
        return answer.json()

    yield put
    assert httpx.delete(f"{server.url}/_local/faults").json()["rules"] == []


@pytest.fixture
def once(server: LocalServer) -> Callable[..., Any]:
    """Clients that do not try again."""

    def make(service: str) -> Any:
        return server.client(service, retries={"total_max_attempts": 1})

    return make


def hits(server: LocalServer) -> list[int]:
    return [rule["hits"] for rule in httpx.get(f"{server.url}/_local/faults").json()["rules"]]


BODY = b"x" * 2**20
THROTTLED = ("ThrottlingException", 400)
CALLS: list[tuple[str, str, dict[str, Any], tuple[str, int]]] = [
    ("sagemaker", "list_models", {}, THROTTLED),
    ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": BODY}, THROTTLED),
    ("logs", "describe_log_groups", {}, THROTTLED),
    ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": BODY}, ("SlowDown", 503)),
    ("s3", "list_objects_v2", {"Bucket": "bbb"}, ("SlowDown", 503)),
    ("cloudwatch", "list_metrics", {}, THROTTLED),
    ("application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "sagemaker"}, THROTTLED),
    ("sts", "get_caller_identity", {}, ("Throttling", 400)),
    ("ecr", "describe_repositories", {}, THROTTLED),
]


@pytest.mark.parametrize(("service", "method", "parameters", "expected"), CALLS)
def test_throttling_in_the_words_of_each_service(
    faults: Callable[..., Any],
    once: Callable[..., Any],
    server: LocalServer,
    service: str,
    method: str,
    parameters: dict[str, Any],
    expected: tuple[str, int],
) -> None:
    client = once(service)
    operation = client.meta.method_to_api_mapping[method]
    faults({"service": service, "operation": operation, "error": "throttling"})
    with pytest.raises(ClientError) as error:
        getattr(client, method)(**parameters)
    answer = error.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == expected
    assert hits(server) == [1]


def test_clients_get_over_what_passes(faults: Callable[..., Any], server: LocalServer) -> None:
    faults({"service": "sagemaker", "error": "throttling", "count": 2})
    client = server.client("sagemaker", retries={"max_attempts": 5, "mode": "standard"})
    assert client.list_models()["ResponseMetadata"]["RetryAttempts"] == 2


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [("internal", "InternalFailure", 500), ("unavailable", "ServiceUnavailable", 503)],
)
def test_server_errors(
    faults: Callable[..., Any], once: Callable[..., Any], error: str, code: str, status: int
) -> None:
    faults(
        {"operation": "List*", "error": error},
        {"operation": "DescribeModel", "code": "MyOwn", "status_code": 418},
    )
    with pytest.raises(ClientError, match=code) as raised:
        once("sagemaker").list_models()
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    with pytest.raises(ClientError, match="MyOwn"):
        once("sagemaker").describe_model(ModelName="m")


def test_a_lost_answer_is_of_an_operation_that_was_done(
    faults: Callable[..., Any], once: Callable[..., Any], bucket: str
) -> None:
    s3 = once("s3")
    faults(
        {"operation": "PutObject", "drop": "after", "count": 1},
        {"operation": "PutObject", "drop": "before", "count": 1},
    )
    for key in ("done", "not-done"):
        with pytest.raises(ConnectionClosedError):
            s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["done"]
    group = {"ModelPackageGroupName": f"lost-{bucket}"}
    faults({"operation": "CreateModelPackageGroup", "drop": "after", "count": 1})
    with pytest.raises(ConnectionClosedError):
        once("sagemaker").create_model_package_group(**group)
    assert once("sagemaker").describe_model_package_group(**group)["ModelPackageGroupStatus"] == "Completed"


def test_latency_comes_first(faults: Callable[..., Any], once: Callable[..., Any]) -> None:
    faults({"operation": "ListModels", "latency_s": 0.4})
    started = time.monotonic()
    once("sagemaker").list_models()
    assert time.monotonic() - started >= 0.4


def test_a_share_of_calls_the_same_share_again(
    faults: Callable[..., Any], once: Callable[..., Any], server: LocalServer
) -> None:
    def outcomes() -> list[bool]:
        faults({"operation": "ListModels", "error": "throttling", "probability": 0.5}, seed=3)
        client, found = once("sagemaker"), []
        for _ in range(24):
            try:
                client.list_models()
                found.append(True)
            except ClientError:
                found.append(False)
        return found

    first = outcomes()
    assert first == outcomes()
    assert True in first
    assert False in first
    assert hits(server) == [first.count(False)]


def test_skip_count_and_rate(
    faults: Callable[..., Any], once: Callable[..., Any], server: LocalServer
) -> None:
    def fails() -> bool:
        try:
            client.list_models()
        except ClientError:
            return True
        return False

    client = once("sagemaker")
    faults({"operation": "ListModels", "error": "throttling", "skip": 2, "count": 1})
    assert [fails() for _ in range(4)] == [False, False, True, False]
    faults({"operation": "ListModels", "error": "throttling", "rate_per_s": 0.001})
    assert fails()
    faults({"operation": "ListModels", "error": "throttling", "rate_per_s": 100000})
    assert not fails()


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ("nonsense", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "a fault plan is"),
        ('{"rule": []}', "a fault plan is"),
        ('{"rules": {}}', "rules must be a list"),
        ('{"rules": [1]}', "rule 1: a rule must be an object"),
        ('{"rules": [{"error": "throttling"}, {"eror": "x"}]}', "rule 2: a rule has no 'eror'"),
        ('{"rules": [{"error": "x"}]}', "error must be one of throttling"),
        ('{"rules": [{"service": "s3"}]}', "needs error, code, latency_s or drop"),
        ('{"rules": [{"drop": "during"}]}', "drop must be"),
        ('{"rules": [{"error": "throttling", "probability": 2}]}', "probability must be a number"),
        ('{"rules": [{"error": "throttling", "count": true}]}', "count must be a whole number"),
        ('{"rules": [{"latency_s": NaN}]}', "latency_s must be a number"),
        ('{"rules": [{"fault": "explode"}]}', "fault must be one of capacity, die, spot"),
        ('{"rules": [{"code": "X", "status_code": 200}]}', "status_code must be"),
    ],
)
def test_a_wrong_plan_changes_nothing(
    server: LocalServer, faults: Callable[..., Any], plan: str, why: str
) -> None:
    faults({"operation": "Nothing", "error": "throttling"})
    answer = httpx.put(f"{server.url}/_local/faults", content=plan)
    assert (answer.status_code, why in answer.json()["message"]) == (400, True), answer.text
    assert len(hits(server)) == 1


def test_other_methods(server: LocalServer) -> None:
    assert httpx.post(f"{server.url}/_local/faults", json={}).status_code == 405


def test_a_plan_from_the_start_and_none_after_a_restart(
    start_server: Callable[..., LocalServer], tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    file.write_text('{"rules": [{"operation": "ListModels", "error": "internal"}]}')
    server = start_server("--faults", str(file))
    assert hits(server) == [0]
    httpx.put(f"{server.url}/_local/faults", json={"rules": []})
    assert hits(server) == []
    server.kill()
    server.start()
    assert hits(server) == [0]
