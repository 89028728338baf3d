"""Stop the jobs that no task waits for any more."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.deployment import VARIABLE, deployment_id
from airflow_sagemaker.errors import UnreachableError
from airflow_sagemaker.names import UNMAPPED, TaskIdentity
from airflow_sagemaker.operators.base import SageMakerOperator
from airflow_sagemaker.orphans import Judgement, RunningJob, judge, owners
from airflow_sagemaker.specs.base import JsonObject

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.hooks.running_jobs import RunningJobsHook

GRACE_S = 120
"""What ends a task stops its job at once; this is for what did not come to that."""
RUNS_A_CALL = 40
"""Run ids stand in a URL."""


class StopOrphansOperator(SageMakerOperator):
    """Stop the jobs whose task instance is over, and that nobody will adopt.

    Looks at the jobs in progress that this Airflow made, and asks Airflow for their task instances. What
    seems to be an orphan is looked at again after ``grace_s``, and then stopped, once. XCom: ``{"jobs",
    "orphans", "stopped", "doubtful"}``, the last three as lists of ``{"kind", "job_name", "why"}``.

    :param grace_s: seconds between the look that suspects a job and the one that stops it
    :param only_report: tell the orphans and stop none; may be a template
    """

    template_fields = ("only_report",)
    ui_color = "#f5e0e0"

    def __init__(self, *, grace_s: int = GRACE_S, only_report: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.grace_s = grace_s
        self.only_report = only_report

    def execute(self, context: Context) -> JsonObject:
        """Look once; defer if anything seems to be an orphan."""
        jobs, judgement = self.look(context)
        for job, why in judgement.doubtful.items():
            self.log.warning("%s %s is left alone: %s", job.kind.noun.capitalize(), job.name, why)
        if not judgement.orphans:
            self.log.info("%d jobs in progress, none is an orphan", len(jobs))
            return self.result(jobs, judgement, {})
        for job, why in judgement.orphans.items():
            self.log.info("%s %s may be an orphan: %s", job.kind.noun.capitalize(), job.name, why)
        from airflow_sagemaker.triggers.pause import PauseTrigger

        self.defer(
            trigger=PauseTrigger(until_s=time.time() + self.grace_s),
            method_name="look_again",
            kwargs={"suspects": sorted(job.name for job in judgement.orphans)},
        )

    def look_again(self, context: Context, event: Any = None, *, suspects: list[str]) -> JsonObject:
        """Stop what is an orphan still."""
        jobs, judgement = self.look(context)
        still = {job: why for job, why in judgement.orphans.items() if job.name in suspects}
        stopped = {job: why for job, why in still.items() if not self.only_reports and self._stop(job, why)}
        return self.result(jobs, Judgement(still, judgement.doubtful), stopped)

    @property
    def only_reports(self) -> bool:
        """Whether nothing is to be stopped."""
        return str(self.only_report).lower() == "true"

    def look(self, context: Context) -> tuple[list[RunningJob], Judgement]:
        """The jobs in progress, and which of them are orphans now."""
        deployment = deployment_id()
        if deployment is None:
            raise UnreachableError(
                f"Variable {VARIABLE!r}",
                "Airflow does not answer",
                "Check that Airflow's API server is up; the next run looks again",
            )
        jobs = self._hook().all()
        states = dict(states_of(context["ti"], owners(jobs, deployment)))
        return jobs, judge(jobs, deployment, states)

    def result(
        self, jobs: Iterable[RunningJob], judgement: Judgement, stopped: Mapping[RunningJob, str]
    ) -> JsonObject:
        """The XCom."""
        lists = {"orphans": judgement.orphans, "stopped": stopped, "doubtful": judgement.doubtful}
        return {
            "jobs": len(list(jobs)),
            **{name: [job.as_result(why) for job, why in found.items()] for name, found in lists.items()},
        }

    def _stop(self, job: RunningJob, why: str) -> bool:
        stopped = self._hook().stop(job)
        noun = job.kind.noun.capitalize()
        if stopped:
            self.log.warning("Stopped %s %s: %s", noun, job.name, why)
        else:
            self.log.info("%s %s ended by itself", noun, job.name)
        return stopped

    def _hook(self) -> RunningJobsHook:
        from airflow_sagemaker.hooks.running_jobs import RunningJobsHook

        return RunningJobsHook(self.hook)


def states_of(ti: Any, tasks: Iterable[TaskIdentity]) -> Iterator[tuple[TaskIdentity, str | None]]:
    """What Airflow says of each task instance; nothing of one that is no more.

    A task has no access to Airflow's database: this is ``RuntimeTaskInstance.get_task_states``
    (``airflow/sdk/execution_time/task_runner.py``), asked for one task at a time because its answer writes
    task and map index into one word.
    """
    runs: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    for task in tasks:
        runs[task.dag_id, task.task_id, task.map_index].append(task.run_id)
    for (dag_id, task_id, map_index), run_ids in runs.items():
        key = task_id if map_index == UNMAPPED else f"{task_id}_{map_index}"
        for first in range(0, len(run_ids), RUNS_A_CALL):
            answer = ti.get_task_states(
                dag_id=dag_id,
                map_index=map_index,
                task_ids=[task_id],
                run_ids=run_ids[first : first + RUNS_A_CALL],
            )
            for run_id, states in answer.items():
                if key in states:
                    yield TaskIdentity(dag_id, run_id, task_id, map_index), states[key]
