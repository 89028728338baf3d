"""Whatever ends a task from outside, wherever the task is then: its paid job is stopped, once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.faults.user_actions.cells import CELLS, ENDPOINT_CELL, Action, Cell, Where, Who
from tests.faults.user_actions.house import SWEEPER, ActionsHouse, build, furnish
from tests.faults.user_actions.play import Outcome, Play

JOB_CELLS = [cell for cell in CELLS if cell is not ENDPOINT_CELL]


@pytest.fixture(scope="module")
def house() -> Iterator[ActionsHouse]:
    """A stack of its own."""
    folder = Path(tempfile.mkdtemp(prefix="house-"))
    stack = build(folder)
    try:
        stack.start()
        running = ActionsHouse(stack, folder)
        furnish(running)
        dags = {SWEEPER, *(cell.dag_id for cell in CELLS)}
        stack.wait_for_dags(dags)
        for dag_id in sorted(dags):
            running.api.unpause(dag_id)
        yield running
    finally:
        stack.stop()
    # Kept after a failure: its logs are what one needs then.
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def outcomes(house: ActionsHouse) -> Mapping[Cell, Outcome]:
    """What became of every cell: all are played at once."""
    return Play(house).perform()


@pytest.mark.parametrize("cell", JOB_CELLS, ids=lambda cell: cell.run_id)
def test_the_paid_job_is_stopped_once(cell: Cell, outcomes: Mapping[Cell, Outcome]) -> None:
    outcome = outcomes[cell]
    assert outcome.arranged, f"the task never was {cell.where.value}"
    assert outcome.state == cell.final_state
    statuses = [kind.status(described).capitalize() for kind, described in outcome.jobs]
    assert statuses in expected_statuses(cell), statuses
    for kind, described in outcome.jobs:
        if kind.operation == "training_job":
            steps = [step["Status"] for step in described["SecondaryStatusTransitions"]]
            stopped = kind.status(described) == "Stopped"
            assert steps.count("Stopping") == (1 if stopped else 0), steps
    runs_on = bool(outcome.alive_before_sweep)
    assert runs_on is runs_on_until_later(cell), "the matrix says something else of who is told"


def runs_on_until_later(cell: Cell) -> bool:
    """Whether Airflow tells nobody who could stop the job there and then."""
    return cell.who in (Who.HOUSEKEEPING, Who.NEXT_TRY) or (
        cell.who is Who.WORKER and cell.where is Where.QUEUED_AGAIN
    )


def expected_statuses(cell: Cell) -> list[list[str]]:
    """How the run's jobs may have ended, in the order in which they were made."""
    if cell.who is Who.NO_TIMER:
        return [["Completed"]]
    again = ["Completed"] if cell.action is Action.CLEAR else []
    if cell.who is Who.NO_JOB:
        return [again]
    return [["Stopped", *again]]


def test_a_rollout_goes_on_and_is_not_begun_twice(
    house: ActionsHouse, outcomes: Mapping[Cell, Outcome]
) -> None:
    outcome = outcomes[ENDPOINT_CELL]
    assert outcome.arranged
    assert outcome.state == "success"
    endpoint = house.sagemaker.describe_endpoint(EndpointName="user-actions")
    assert endpoint["EndpointStatus"] == "InService"
    # One creation, no update: AWS counts both as a change.
    configs = house.sagemaker.list_endpoint_configs()["EndpointConfigs"]
    assert [config["EndpointConfigName"] for config in configs] == [endpoint["EndpointConfigName"]]


def test_no_job_is_left(house: ActionsHouse, outcomes: Mapping[Cell, Outcome]) -> None:
    for operation, field in (
        ("list_training_jobs", "TrainingJobSummaries"),
        ("list_processing_jobs", "ProcessingJobSummaries"),
        ("list_transform_jobs", "TransformJobSummaries"),
        ("list_hyper_parameter_tuning_jobs", "HyperParameterTuningJobSummaries"),
    ):
        for status in ("InProgress", "Stopping"):
            assert getattr(house.sagemaker, operation)(StatusEquals=status)[field] == []
    for status in ("STARTING", "INPROGRESS", "STOPPING"):
        assert house.sagemaker.list_compilation_jobs(StatusEquals=status)["CompilationJobSummaries"] == []
