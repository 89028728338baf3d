import datetime
import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from sagemaker_local import limits
from sagemaker_local.errors import ResourceInUse
from sagemaker_local.protocol import JsonProtocol, answer_json

SYNCED = SimpleNamespace(commits=SimpleNamespace(is_synced=True))
NO_SERVICES: Any = SimpleNamespace(store=SYNCED, logs=SYNCED)  # the handlers here ask for none


async def describe(services, request):
    if request["EndpointName"] == "taken":
        raise ResourceInUse("it is taken")
    if request["EndpointName"] == "broken":
        raise ZeroDivisionError("oops")
    return {"EndpointName": request["EndpointName"]}


@pytest.fixture
def client():
    protocol = JsonProtocol("sagemaker", {"DescribeEndpoint": describe}, NO_SERVICES)

    async def app(scope, receive, send):
        await (await protocol(Request(scope, receive)))(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://local")


async def call(client, operation, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await client.post("/", content=content, headers={"X-Amz-Target": f"SageMaker.{operation}"})
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.headers["x-amzn-requestid"]
    return answer


async def test_an_answer(client):
    answer = await call(client, "DescribeEndpoint", {"EndpointName": "a"})
    assert (answer.status_code, answer.json()) == (200, {"EndpointName": "a"})


@pytest.mark.parametrize(
    ("operation", "body", "status", "code", "text"),
    [
        ("DescribeEndpoint", {"EndpointName": "taken"}, 400, "ResourceInUse", "it is taken"),
        ("DescribeEndpoint", {"EndpointName": "broken"}, 500, "InternalFailure", "ZeroDivisionError"),
        ("DescribeEndpoint", {}, 400, "ValidationException", "'endpointName' failed"),
        ("DescribeEndpoint", b"{", 400, "SerializationException", "not JSON"),
        ("DescribeEndpoint", [], 400, "SerializationException", "must be a JSON object, not list"),
        ("CreateCluster", {}, 400, "UnknownOperationException", "does not implement sagemaker CreateCluster"),
        ("Frobnicate", {}, 400, "UnknownOperationException", "no operation named 'Frobnicate'"),
        ("DescribeEndpoint", b" " * (limits.JSON_BODY_BYTES + 1), 400, "SerializationException", "at most"),
    ],
    ids=["aws-error", "defect", "invalid", "broken-json", "list", "not-implemented", "unknown", "too-large"],
)
async def test_every_error_has_the_shape_that_clients_parse(client, operation, body, status, code, text):
    answer = await call(client, operation, body)
    assert answer.status_code == status
    assert answer.json()["__type"] == answer.headers["x-amzn-errortype"] == code
    assert text in answer.json()["message"]


def test_a_misspelt_operation_is_found_at_start():
    with pytest.raises(Exception, match="DescribeEndpiont"):
        JsonProtocol("sagemaker", {"DescribeEndpiont": describe}, NO_SERVICES)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime.datetime(2026, 1, 2, 3, 4, 5, 500_000, datetime.UTC), "1767323045.5"),
        ("é\n", '"é\\n"'),
        ("\udc80", '"\\udc80"'),  # a byte that is no UTF-8, from a job's output
        (2**64, "18446744073709551616"),
    ],
    ids=["time", "text", "half-a-character", "large"],
)
def test_every_answer_can_be_written(value, text):
    assert answer_json({"a": value}).decode().replace(" ", "") == f'{{"a":{text}}}'


def test_what_is_no_json_is_a_defect():
    with pytest.raises(TypeError, match="set does not belong in an answer"):
        answer_json({"a": {1}})
