from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from airflow_sagemaker.rollout import (
    STEPS,
    UNSETTLED,
    Step,
    has_come_back,
    is_settled,
    next_step,
    served_config,
)

SERVICE: Any = botocore.session.get_session().get_service_model("sagemaker")
STATUSES = SERVICE.shape_for("EndpointStatus").enum


def endpoint(status: str, config: str = "asked") -> dict[str, str]:
    return {"EndpointStatus": status, "EndpointConfigName": config}


def test_every_status_of_the_api_model_is_in_the_table() -> None:
    assert set(STATUSES) == set(STEPS)


@pytest.mark.parametrize(
    ("described", "step"),
    [
        (None, Step.CREATE),
        (endpoint("InService"), Step.DONE),
        (endpoint("InService", "earlier"), Step.UPDATE),
        (endpoint("Failed"), Step.RECREATE),
        (endpoint("Creating"), Step.WAIT),
        (endpoint("Updating"), Step.WAIT),
        (endpoint("RollingBack", "earlier"), Step.WAIT),
        (endpoint("Deleting"), Step.WAIT),
        (endpoint("OutOfService"), Step.REFUSE),
        (endpoint("UpdateRollbackFailed"), Step.REFUSE),
        (endpoint("SomethingNew"), Step.REFUSE),
    ],
)
def test_the_next_step(described: dict[str, str] | None, step: Step) -> None:
    assert next_step(described, "asked") is step


@pytest.mark.parametrize("status", STATUSES)
def test_waiting_ends_where_there_is_something_to_do(status: str) -> None:
    assert is_settled(status) == (status not in UNSETTLED) == (STEPS[status] is not Step.WAIT)


@pytest.mark.parametrize(
    ("described", "served"),
    [
        (None, None),
        (endpoint("InService", "earlier"), "earlier"),
        (endpoint("Updating", "earlier"), "earlier"),
        (endpoint("Failed", "broken"), None),
        (endpoint("Creating", "new"), None),
    ],
)
def test_only_what_answers_now_is_worth_going_back_to(
    described: dict[str, str] | None, served: str | None
) -> None:
    assert served_config(described) == served


@pytest.mark.parametrize(
    ("status", "config", "modified", "before", "expected"),
    [
        ("InService", "earlier", 2, "1", True),
        ("InService", "earlier", 1, "1", False),
        ("InService", "earlier", 2, None, False),
        ("InService", "asked", 2, "1", False),
        ("Updating", "earlier", 2, "1", False),
        ("Failed", "asked", 2, "1", False),
    ],
    ids=["rolled back", "never asked", "nothing known", "serves it", "on its way", "failed"],
)
def test_an_endpoint_that_was_rolled_back_is_known(
    status: str, config: str, modified: int, before: str | None, expected: bool
) -> None:
    described = {"EndpointStatus": status, "EndpointConfigName": config, "LastModifiedTime": modified}
    assert has_come_back(described, "asked", before) is expected
    assert not has_come_back(None, "asked", before)
