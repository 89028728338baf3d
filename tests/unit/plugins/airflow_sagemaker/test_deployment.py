from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from airflow_sagemaker import deployment
from airflow_sagemaker.deployment import DEPLOYMENT_TAG, VARIABLE, deployment_id, deployment_tags


class Variables:
    """Airflow's Variables, as the task SDK gives them."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.down = False

    def get(self, key: str, default: Any = None) -> Any:
        if self.down:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
        return self.values.get(key, default)

    def set(self, key: str, value: str, description: str | None = None) -> None:
        self.values[key] = value


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    stored = Variables()
    monkeypatch.setattr(deployment, "Variable", stored)
    monkeypatch.setattr(deployment, "SETTLED_S", 0.0)
    return stored


def test_the_first_task_makes_the_id_and_all_others_read_it(variables: Variables) -> None:
    first = deployment_id()
    assert first
    assert variables.values == {VARIABLE: first}
    assert deployment_tags() == {DEPLOYMENT_TAG: first}
    variables.values[VARIABLE] = "given"
    assert deployment_id() == "given"


def test_first_tasks_at_once_agree_on_one_id(variables: Variables, monkeypatch: pytest.MonkeyPatch) -> None:
    late = iter(["of the second", "of the third"])

    def others_write_theirs(_: float) -> None:
        variables.values[VARIABLE] = next(late, variables.values[VARIABLE])

    monkeypatch.setattr("airflow_sagemaker.deployment.time.sleep", others_write_theirs)
    assert deployment_id() == "of the third"


def test_two_airflows_have_two_ids(variables: Variables) -> None:
    first = deployment_id()
    variables.values.clear()
    assert deployment_id() != first


def test_while_airflow_does_not_answer_a_job_is_made_without_the_tag(variables: Variables) -> None:
    variables.down = True
    assert deployment_id() is None
    assert deployment_tags() == {}
