"""A plan as text for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from airflow_sagemaker.plan.costs import Cost, Total
from airflow_sagemaker.plan.planner import OFF, Plan, PlannedTask


def as_json(plan: Plan) -> str:
    """The plan as one JSON document; placeholders as in the text."""
    return json.dumps({**asdict(plan), "problems": plan.problems}, indent=2, default=str, ensure_ascii=False)


def as_text(plan: Plan, *, explain: bool) -> str:
    """The plan, task by task."""
    return "\n".join(_lines(plan, explain=explain)) + "\n"


def _lines(plan: Plan, *, explain: bool) -> Iterator[str]:
    yield f"DAG {plan.dag_id}, run {plan.run_id}"
    if plan.logical_date:
        yield f"  logical date  {plan.logical_date}"
    for name, value in plan.params.items():
        yield f"  {name} = {value}"
    yield f"  region {plan.region}; bucket, role and registry: {plan.places}"
    yield "  <task.field> is what only the run knows"
    for number, task in enumerate(plan.tasks, start=1):
        yield ""
        yield f"{number}. {task.task_id}  ({task.operator})"
        yield from (f"   {line}" for line in _task(task, explain=explain))
    yield ""
    yield from _total(plan.total)
    sources = dict.fromkeys(task.cost.price_source for task in plan.tasks if task.cost)
    yield from (f"  prices: {source}" for source in sources if source)
    if plan.problems:
        yield ""
        yield f"AWS would refuse {len(plan.problems)} of these requests' fields:"
        yield from (f"  {problem}" for problem in plan.problems)


def _task(task: PlannedTask, *, explain: bool) -> Iterator[str]:
    if task.job_name:
        yield f"job     {task.job_name}"
    yield from (f"reads   {uri}" for uri in task.reads)
    yield from (f"writes  {uri}" for uri in task.writes)
    if task.reuse is not None and (explain or task.reuse.verdict != OFF):
        yield f"cache   {task.reuse.verdict}"
        if explain:
            yield from (f"        {line}" for line in task.reuse.changed)
    if task.cost is not None:
        yield f"cost    {_cost(task.cost)}"
    for request in task.requests:
        yield request.operation
        yield from (
            f"  {line}" for line in json.dumps(request.body, indent=2, ensure_ascii=False).splitlines()
        )
    yield from (f"REFUSED {problem}" for problem in task.problems)


def _cost(cost: Cost) -> str:
    if cost.unknown:
        return f"unknown: {cost.unknown}"
    what = f"{cost.instance_count} × {cost.instance_type} at {cost.usd_per_hour:g} USD/h"
    if cost.max_usd is None:
        return f"{(cost.usd_per_hour or 0) * cost.instance_count:.3f} USD an hour while it serves: {what}"
    usual = (
        f", usually {cost.typical_usd:.4f} (by {cost.typical_from})" if cost.typical_usd is not None else ""
    )
    return f"at most {cost.max_usd:.4f} USD{usual}: {what}"


def _total(total: Total) -> Iterator[str]:
    usual = "" if total.typical_usd is None else f", usually {total.typical_usd:.4f} USD"
    yield f"Total of the jobs, instances only: at most {total.max_usd:.4f} USD{usual}"
    yield from (f"  not in it: {line}" for line in total.unknown)
