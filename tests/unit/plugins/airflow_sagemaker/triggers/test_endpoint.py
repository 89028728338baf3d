from __future__ import annotations

from typing import Any

import pytest

from airflow_sagemaker.triggers.endpoint import EndpointTrigger

WANTED = {"endpoint_name": "e", "endpoint_config_name": "asked"}


@pytest.fixture
def trigger() -> EndpointTrigger:
    return EndpointTrigger(
        endpoint_name="e",
        wanted_config="asked",
        results=WANTED,
        phase="serve",
        limit_s=60,
        since_ms=1700,
        aws_conn_id="aws_sagemaker",
        region_name=None,
        poll_interval_s=1.0,
        deadline_s=0.0,
    )


def endpoint(status: str, config: str = "asked", **more: Any) -> dict[str, Any]:
    return {"EndpointStatus": status, "EndpointConfigName": config, "EndpointArn": "arn:e", **more}


def test_it_is_data_that_makes_the_same_trigger_again(trigger: EndpointTrigger) -> None:
    path, fields = trigger.serialize()
    assert path == "airflow_sagemaker.triggers.endpoint.EndpointTrigger"
    assert EndpointTrigger(**fields).serialize() == (path, fields)


@pytest.mark.parametrize("status", ["Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"])
def test_what_is_on_its_way_is_waited_for(trigger: EndpointTrigger, status: str) -> None:
    assert trigger.judge(endpoint(status)) is None


def test_in_service_with_the_config_asked_for_is_success(trigger: EndpointTrigger) -> None:
    event = trigger.judge(endpoint("InService"))
    assert event is not None
    assert event["end"] == "completed"
    assert event["results"] == {**WANTED, "endpoint_arn": "arn:e"}


@pytest.mark.parametrize(
    "described",
    [
        endpoint("InService", "earlier", FailureReason="rolled back: no ping"),
        endpoint("Failed", FailureReason="no ping"),
        endpoint("UpdateRollbackFailed"),
        None,
    ],
)
def test_anything_else_at_rest_is_not(trigger: EndpointTrigger, described: dict[str, Any] | None) -> None:
    event = trigger.judge(described)
    assert event is not None
    assert event["end"] == "settled"
    assert "results" not in event
    assert event["status"] == (described["EndpointStatus"] if described else "missing")


def test_every_event_holds_what_the_worker_needs(trigger: EndpointTrigger) -> None:
    for event in (trigger.judge(None), trigger.judge(endpoint("InService"))):
        assert event is not None
        assert {"wanted": WANTED, "phase": "serve", "limit_s": 60}.items() <= event.items()


async def test_the_deadline_is_an_end(trigger: EndpointTrigger) -> None:
    event = await trigger.give_up()
    assert event is not None
    assert event["end"] == "timed_out"
    assert "60 s" in event["reason"]
