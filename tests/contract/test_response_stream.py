"""InvokeEndpointWithResponseStream: parts as they come, errors before and in the stream."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from tests.contract.serving_probe import Probe, probe

__all__ = ["probe"]


@pytest.fixture(scope="module")
def endpoint(probe: Probe) -> str:
    return probe.endpoint()


def open_stream(
    probe: Probe, endpoint: str, body: bytes, what: str = "stream", **more: Any
) -> dict[str, Any]:
    answer: dict[str, Any] = probe.runtime.invoke_endpoint_with_response_stream(
        EndpointName=endpoint, Body=body, ContentType=f"application/x-{what}", **more
    )
    return answer


def test_a_part_arrives_while_the_container_still_works(probe: Probe, endpoint: str) -> None:
    answer = open_stream(probe, endpoint, b"first wait second third")
    assert answer["ContentType"] == "text/plain"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    events = iter(answer["Body"])
    assert next(events) == {"PayloadPart": {"Bytes": b"first"}}
    probe.ask(endpoint, "opening")  # the container goes on only now
    assert b"".join(event["PayloadPart"]["Bytes"] for event in events) == b"secondthird"


def test_an_answer_without_parts_is_a_stream_too(probe: Probe, endpoint: str) -> None:
    body = bytes(range(256)) * 4000
    answer = open_stream(probe, endpoint, body, "anything", Accept="text/csv", CustomAttributes="trace-1")
    assert b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"]) == body
    assert (answer["ContentType"], answer["CustomAttributes"]) == ("text/csv", "seen trace-1")


def test_an_error_before_the_stream_is_a_model_error(probe: Probe, endpoint: str) -> None:
    with pytest.raises(probe.runtime.exceptions.ModelError) as failed:
        open_stream(probe, endpoint, b"503", "status")
    assert failed.value.response["OriginalStatusCode"] == 503
    with pytest.raises(ClientError, match="Endpoint none of account"):
        open_stream(probe, "none", b"")


def test_a_stream_that_breaks_says_so(probe: Probe, endpoint: str) -> None:
    events = iter(open_stream(probe, endpoint, b"first break")["Body"])
    assert next(events) == {"PayloadPart": {"Bytes": b"first"}}
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        list(events)


def test_a_caller_who_leaves_frees_the_container(probe: Probe, endpoint: str) -> None:
    answer = open_stream(probe, endpoint, b"first wait second")
    next(iter(answer["Body"]))
    answer["Body"].close()
    assert probe.ask(endpoint, body=b"still there") == b"still there"
