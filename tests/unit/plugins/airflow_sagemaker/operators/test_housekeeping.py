from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk import Context
from airflow.sdk.bases.operator import ExecutorSafeguard

from airflow_sagemaker.deployment import VARIABLE
from airflow_sagemaker.errors import UnreachableError
from airflow_sagemaker.operators.housekeeping import RemoveUnusedOperator
from airflow_sagemaker.retention import ConfigInUse, Inventory, Made
from airflow_sagemaker.specs.housekeeping import Retention

OLD = datetime.now(UTC) - timedelta(days=400)


class House:
    """Stands in for HousekeepingHook."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self.foreign = {"arn:foreign"}
        self.approved = {"approved"}
        self.before: datetime | None = None

    def inventory(self) -> Inventory:
        return Inventory(
            models=[Made(name, f"arn:{name}", OLD) for name in ("spent", "approved", "foreign", "served")],
            configs={
                Made("live", "arn:live", OLD): frozenset({"served"}),
                Made("earlier", "arn:earlier", OLD): frozenset({"spent"}),
            },
            endpoints=[
                ConfigInUse("digits", frozenset({"live"})),
                ConfigInUse("stray", frozenset({"elsewhere"})),
            ],
        )

    def is_made_by(self, deployment: str, arn: str) -> bool:
        assert deployment == "here"
        return arn not in self.foreign

    def is_approved(self, name: str) -> bool:
        return name in self.approved

    def old_log_streams(self, before: datetime, deployment: str) -> Iterator[tuple[str, str]]:
        self.before = before
        yield "/aws/sagemaker/TrainingJobs", "job/algo-1"

    def delete_config(self, name: str) -> None:
        self.removed.append(f"config {name}")

    def delete_model(self, name: str) -> None:
        self.removed.append(f"model {name}")

    def delete_log_stream(self, group: str, stream: str) -> None:
        self.removed.append(f"stream {stream}")


class Operator(RemoveUnusedOperator):
    house: House

    def _hook(self) -> Any:
        return self.house


@pytest.fixture(autouse=True)
def deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"AIRFLOW_VAR_{VARIABLE.upper()}", "here")


def operator(**arguments: Any) -> Operator:
    given = {"retention": Retention(), "endpoint_names": ["digits"], "dag_ids": ["d"], **arguments}
    made = Operator(task_id="remove_unused", **given)
    made.house = House()
    return made


def execute(made: Operator, runs: int = 0) -> Any:
    ti = SimpleNamespace(get_dr_count=lambda dag_id, states: runs)
    token = ExecutorSafeguard.tracker.set(made)
    try:
        return made.execute(cast(Context, {"ti": ti}))
    finally:
        ExecutorSafeguard.tracker.reset(token)


def test_only_what_is_ours_and_unused_goes() -> None:
    made = operator()
    assert execute(made) == {
        "endpoint_configs": ["earlier"],
        "models": ["spent"],
        "log_streams": ["/aws/sagemaker/TrainingJobs/job/algo-1"],
        "endpoints_without_pipeline": ["stray"],
    }
    assert made.house.removed == ["config earlier", "model spent", "stream job/algo-1"]
    assert made.house.before is not None
    assert abs(datetime.now(UTC) - timedelta(days=90) - made.house.before) < timedelta(minutes=5)


def test_a_run_at_work_may_go_back_to_an_earlier_config() -> None:
    made = operator()
    result = execute(made, runs=1)
    assert result["endpoint_configs"] == result["models"] == []
    assert made.house.removed == ["stream job/algo-1"]


@pytest.mark.parametrize("told", [True, "True"])
def test_only_reporting_removes_nothing(told: bool | str) -> None:
    made = operator(only_report=told)
    assert execute(made)["endpoint_configs"] == ["earlier"]
    assert made.house.removed == []


def test_what_is_to_be_kept_for_ever_is() -> None:
    retention = {"endpoint_configs_days": None, "models_days": None, "job_logs_days": None}
    made = operator(retention=retention)
    assert execute(made)["log_streams"] == []
    assert made.house.removed == []


def test_nothing_goes_while_airflow_does_not_say_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"AIRFLOW_VAR_{VARIABLE.upper()}")
    made = operator()
    with pytest.raises(UnreachableError):
        execute(made)
    assert made.house.removed == []
