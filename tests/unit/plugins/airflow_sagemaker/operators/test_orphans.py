from __future__ import annotations

from typing import Any, cast

import pytest
from airflow.sdk import Context
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import TaskDeferred

from airflow_sagemaker.deployment import DEPLOYMENT_TAG, VARIABLE
from airflow_sagemaker.errors import UnreachableError
from airflow_sagemaker.fingerprint import ownership_tags
from airflow_sagemaker.kinds import TRAINING
from airflow_sagemaker.names import TaskIdentity, job_name
from airflow_sagemaker.operators.orphans import RUNS_A_CALL, StopOrphansOperator, states_of
from airflow_sagemaker.orphans import RunningJob

TASK, OTHER, MAPPED = TaskIdentity("d", "r", "t"), TaskIdentity("d", "r", "u"), TaskIdentity("d", "r", "m", 2)


class TaskInstances:
    """Answers as ``RuntimeTaskInstance.get_task_states`` does."""

    def __init__(self, states: dict[TaskIdentity, str | None]) -> None:
        self.states = states
        self.calls: list[dict[str, Any]] = []

    def get_task_states(
        self, dag_id: str, map_index: int, task_ids: list[str], run_ids: list[str]
    ) -> dict[str, dict[str, str | None]]:
        self.calls.append({"run_ids": run_ids})
        answer: dict[str, dict[str, str | None]] = {}
        for task, state in self.states.items():
            if task.dag_id == dag_id and task.task_id in task_ids and task.run_id in run_ids:
                key = task.task_id if task.map_index < 0 else f"{task.task_id}_{task.map_index}"
                answer.setdefault(task.run_id, {})[key] = state
        return answer


class Jobs:
    """Stands in for RunningJobsHook."""

    def __init__(self, *tasks: TaskIdentity) -> None:
        self.jobs = [job(task) for task in tasks]
        self.stopped: list[str] = []

    def all(self) -> list[RunningJob]:
        return self.jobs

    def stop(self, job: RunningJob) -> bool:
        self.stopped.append(job.name)
        return job.name not in self.stopped[:-1]


def job(task: TaskIdentity) -> RunningJob:
    name = job_name(task.dag_id, task.run_id, task.task_id, task.map_index)
    return RunningJob(TRAINING, name, {**ownership_tags(task, "w", "2"), DEPLOYMENT_TAG: "here"})


class Operator(StopOrphansOperator):
    jobs: Jobs

    def _hook(self) -> Any:
        return self.jobs


@pytest.fixture(autouse=True)
def deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"AIRFLOW_VAR_{VARIABLE.upper()}", "here")


def operator(jobs: Jobs, **arguments: Any) -> Operator:
    made = Operator(task_id="stop_orphans", **arguments)
    made.jobs = jobs
    return made


def context(states: dict[TaskIdentity, str | None]) -> Context:
    return cast(Context, {"ti": TaskInstances(states)})


def execute(made: Operator, given: Context) -> Any:
    token = ExecutorSafeguard.tracker.set(made)
    try:
        return made.execute(given)
    finally:
        ExecutorSafeguard.tracker.reset(token)


def test_nothing_is_done_where_every_job_is_wanted() -> None:
    jobs = Jobs(TASK)
    assert execute(operator(jobs), context({TASK: "deferred"})) == {
        "jobs": 1,
        "orphans": [],
        "stopped": [],
        "doubtful": [],
    }
    assert jobs.stopped == []


def test_an_orphan_is_stopped_at_the_second_look_only() -> None:
    jobs = Jobs(TASK, OTHER, MAPPED)
    made, given = operator(jobs), context({TASK: "failed", OTHER: "running"})
    with pytest.raises(TaskDeferred) as deferred:
        execute(made, given)
    assert jobs.stopped == []
    kwargs = dict(deferred.value.kwargs or {})
    assert kwargs["suspects"] == sorted([job(TASK).name, job(MAPPED).name])
    result = made.resume_execution(deferred.value.method_name, {"event": None, **kwargs}, given)
    assert sorted(jobs.stopped) == kwargs["suspects"]
    assert {each["job_name"]: each["why"] for each in result["stopped"]} == {
        job(TASK).name: "task t of d, run r is over (failed)",
        job(MAPPED).name: "task m of d, run r, map index 2 was deleted with its run",
    }


def test_what_was_taken_up_again_meanwhile_is_left() -> None:
    jobs = Jobs(TASK, OTHER)
    given = context({TASK: "up_for_retry", OTHER: "failed"})
    result = operator(jobs).look_again(given, suspects=[job(TASK).name])
    assert jobs.stopped == []
    assert result["orphans"] == result["stopped"] == []


@pytest.mark.parametrize("told", [True, "True", "true"])
def test_only_reporting_stops_nothing(told: bool | str) -> None:
    jobs = Jobs(TASK)
    made = operator(jobs, only_report=told)
    result = made.look_again(context({TASK: "failed"}), suspects=[job(TASK).name])
    assert jobs.stopped == []
    assert [each["job_name"] for each in result["orphans"]] == [job(TASK).name]


def test_nothing_is_judged_while_airflow_does_not_say_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"AIRFLOW_VAR_{VARIABLE.upper()}")
    with pytest.raises(UnreachableError):
        execute(operator(Jobs(TASK)), context({}))


def test_airflow_is_asked_for_many_runs_at_once_and_for_no_endless_url() -> None:
    tasks = [TaskIdentity("d", f"r{number}", "t") for number in range(RUNS_A_CALL + 1)]
    states: dict[TaskIdentity, str | None] = dict.fromkeys(tasks[1:])
    ti = TaskInstances(states)
    assert dict(states_of(ti, tasks)) == states
    assert [len(call["run_ids"]) for call in ti.calls] == [RUNS_A_CALL, 1]
