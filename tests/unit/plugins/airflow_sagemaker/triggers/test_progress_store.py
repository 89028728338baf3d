from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse, GetXCom, SetXCom, XComResult

from airflow_sagemaker.triggers import progress_store
from airflow_sagemaker.triggers.progress_store import TaskXCom

TI = SimpleNamespace(dag_id="dag", run_id="run", task_id="train", map_index=None)


class Supervisor:
    """Airflow's supervisor, as far as XComs go."""

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}
        self.messages: list[Any] = []
        self.failures: list[Exception] = []

    async def asend(self, message: Any) -> Any:
        self.messages.append(message)
        if self.failures:
            raise self.failures.pop(0)
        if isinstance(message, SetXCom):
            self.xcoms[message.key] = message.value
            return None
        assert isinstance(message, GetXCom)
        return XComResult(key=message.key, value=self.xcoms.get(message.key))


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    from airflow.sdk.execution_time import task_runner

    found = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", found, raising=False)
    monkeypatch.setattr(progress_store, "LOAD_PAUSE_S", 0.0)
    return found


async def test_what_is_saved_is_found_by_the_next_triggerer(supervisor: Supervisor) -> None:
    assert await TaskXCom(TI, "log_cursor").load() is None
    assert await TaskXCom(TI, "log_cursor").save({"lines": 3})
    assert await TaskXCom(TI, "log_cursor").load() == {"lines": 3}
    assert await TaskXCom(TI, "progress").load() is None
    assert {message.map_index for message in supervisor.messages} == {-1}


async def test_a_database_that_is_away_is_asked_again(supervisor: Supervisor) -> None:
    await TaskXCom(TI, "log_cursor").save({"lines": 3})
    away = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
    supervisor.failures = [away, away]
    assert await TaskXCom(TI, "log_cursor").load() == {"lines": 3}


@pytest.mark.parametrize("failure", [ConnectionResetError(), TypeError(), TimeoutError()])
async def test_no_failure_ends_a_wait(supervisor: Supervisor, failure: Exception) -> None:
    supervisor.failures = [failure, failure]
    assert not await TaskXCom(TI, "log_cursor").save({"lines": 3})
    assert await TaskXCom(TI, "log_cursor").load() is None


async def test_without_a_task_instance_nothing_is_kept() -> None:
    assert not await TaskXCom(None, "log_cursor").save({"lines": 3})
    assert await TaskXCom(None, "log_cursor").load() is None
