"""What a run of a pipeline would do: names, requests, prefixes, reuse and cost, without a call to AWS.

With a connection the cache is looked into, which reads S3, ECR and SageMaker; nothing is ever created.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_sagemaker.defaults import default_args
from airflow_sagemaker.kinds import JobKind
from airflow_sagemaker.names import TaskIdentity
from airflow_sagemaker.plan.costs import Cost, Total, cost_of, total
from airflow_sagemaker.plan.rendering import Run, unknown_in
from airflow_sagemaker.plan.requests import PlanPlaces, Request, name_of, problems_of, requests_of
from airflow_sagemaker.plan.steps import FAMILIES, Step
from airflow_sagemaker.prices import PriceTable
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.pipeline import Pipeline

OFFLINE = "unknown without --connection"
OFF = "off"


@dataclass(frozen=True)
class Reuse:
    """What the cache says about one task."""

    verdict: str
    job_name: str | None = None
    changed: Sequence[str] = ()
    results: JsonObject | None = None


class Lookout(Protocol):
    """What a plan with a connection asks AWS."""

    def reuse(self, kind: JobKind, identity: TaskIdentity, body: JsonObject) -> Reuse:
        """What the cache has for a request."""

    def runtime_s(self, kind: JobKind, identity: TaskIdentity) -> float | None:
        """How long the last completed job of this task of any run took."""


@dataclass(frozen=True)
class PlannedTask:
    """One task of the plan, in the words of its log and of AWS."""

    task_id: str
    operator: str
    job_name: str | None = None
    requests: Sequence[Request] = ()
    problems: Sequence[str] = ()
    reads: Sequence[str] = ()
    writes: Sequence[str] = ()
    reuse: Reuse | None = None
    cost: Cost | None = None


@dataclass(frozen=True)
class Plan:
    """All tasks of a run in their order."""

    pipeline: str
    dag_id: str
    run_id: str
    logical_date: str | None
    params: Mapping[str, Any]
    region: str
    places: str
    tasks: Sequence[PlannedTask] = ()
    total: Total = field(default_factory=lambda: Total(0.0, None, ()))

    @property
    def problems(self) -> list[str]:
        """Everything that AWS would refuse, by task."""
        return [f"{task.task_id}: {problem}" for task in self.tasks for problem in task.problems]


@dataclass
class Planner:
    """Makes the plan of a run.

    :param places_from: where the settings of `places` come from, for the reader
    :param lookout: None for a plan without AWS
    """

    pipeline: Pipeline
    family: str
    run: Run
    places: PlanPlaces
    places_from: str
    prices: PriceTable
    lookout: Lookout | None = None

    def plan(self) -> Plan:
        """The plan; what a reused job wrote is known to the tasks after it."""
        tasks = [self._task(step) for step in FAMILIES[self.family](self.pipeline)]
        costs = {task.task_id: task.cost for task in tasks if task.cost and not _reused(task)}
        return Plan(
            pipeline=self.pipeline.name,
            dag_id=self.run.dag_id,
            run_id=self.run.run_id,
            logical_date=self.run.logical_date.isoformat() if self.run.logical_date else None,
            params=self.run.params,
            region=self.places.region,
            places=self.places_from,
            tasks=tasks,
            total=total(costs),
        )

    def _task(self, step: Step) -> PlannedTask:
        identity = TaskIdentity(self.run.dag_id, self.run.run_id, step.task_id)
        reads, writes = self._uris(step.reads), self._uris(step.writes)
        if step.spec is None:
            return PlannedTask(step.task_id, step.operator, reads=reads, writes=writes)
        start = str(default_args(self.pipeline)["retries"])
        requests = requests_of(self.run.spec(step.spec), step.kind, identity, start, self.places)
        reuse, runtime_s = None, None
        if step.kind is not None:
            body = requests[-1].body
            reads, writes = [*reads, *read_uris(body)], [*writes, *written_uris(body)]
            reuse = self._reuse(step, step.kind, identity, requests)
            if self.lookout is not None:
                runtime_s = self.lookout.runtime_s(step.kind, identity)
        return PlannedTask(
            step.task_id,
            step.operator,
            job_name=name_of(step.kind, identity) if step.kind else None,
            requests=requests,
            problems=[problem for request in requests for problem in problems_of(request)],
            reads=reads,
            writes=writes,
            reuse=reuse,
            cost=cost_of(step, self.prices, self.places.region, runtime_s),
        )

    def _reuse(self, step: Step, kind: JobKind, identity: TaskIdentity, requests: list[Request]) -> Reuse:
        if not step.cache:
            return Reuse(OFF)
        if self.lookout is None:
            return Reuse(OFFLINE)
        given = {name: value for name, value in requests[-1].body.items() if name not in _NAMES}
        if later := unknown_in(given):
            return Reuse(f"unknown before the run has {', '.join(later)}")
        found = self.lookout.reuse(kind, identity, given)
        if found.results is not None:
            self.run.xcoms[step.task_id] = found.results
        return found

    def _uris(self, locations: Sequence[str]) -> list[str]:
        return [self.places.s3_uri(self.run.text(location)) for location in locations]


_NAMES = frozenset({"Tags", "ProcessingJobName", "TrainingJobName", "CompilationJobName", "TransformJobName"})
_WRITTEN = ("S3OutputPath", "S3OutputLocation")


def _reused(task: PlannedTask) -> bool:
    return task.reuse is not None and task.reuse.job_name is not None


def written_uris(body: JsonObject) -> list[str]:
    """Where a job writes."""
    outputs = body.get("ProcessingOutputConfig", {}).get("Outputs", [])
    found = [output["S3Output"]["S3Uri"] for output in outputs]
    for name in ("OutputDataConfig", "OutputConfig", "TransformOutput"):
        found += [body[name][key] for key in _WRITTEN if key in body.get(name, {})]
    return found


def read_uris(body: JsonObject) -> list[str]:
    """Where a job reads."""
    return [
        *(given["S3Input"]["S3Uri"] for given in body.get("ProcessingInputs", [])),
        *(given["DataSource"]["S3DataSource"]["S3Uri"] for given in body.get("InputDataConfig", [])),
        *([body["InputConfig"]["S3Uri"]] if "InputConfig" in body else []),
        *(
            [body["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]]
            if "TransformInput" in body
            else []
        ),
    ]
