"""The plan's tables say what the DAGs say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from airflow_sagemaker.plan import command
from airflow_sagemaker.plan.steps import FAMILIES, Step
from airflow_sagemaker.specs.loading import load_pipelines

PIPELINES = load_pipelines(Path(__file__).parents[2] / "include").pipelines
SPEC_ARGUMENTS = ("job", "model", "endpoint")
READ = ("table", "columns_from", "source", "features", "predictions")
WRITTEN = ("results", "destination")


@pytest.fixture(
    params=[(pipeline, family) for pipeline in PIPELINES for family in FAMILIES],
    ids=lambda param: f"{param[0].name}-{param[1]}",
)
def planned(request: pytest.FixtureRequest, dag_bag: DagBag) -> tuple[Any, str, list[Step], Any]:
    pipeline, family = request.param
    return pipeline, family, FAMILIES[family](pipeline), dag_bag.dags[f"{pipeline.name}__{family}"]


def test_tasks_stand_in_an_order_they_could_run_in(planned: Any) -> None:
    _, _, steps, dag = planned
    names = [step.task_id for step in steps]
    assert sorted(names) == sorted(dag.task_ids)
    for task in dag.tasks:
        for upstream in task.upstream_task_ids:
            assert names.index(upstream) < names.index(task.task_id)


def test_each_task_is_the_dags(planned: Any) -> None:
    _, _, steps, dag = planned
    for step in steps:
        task = dag.get_task(step.task_id)
        assert step.operator == type(task).__name__
        given = next((getattr(task, name) for name in SPEC_ARGUMENTS if hasattr(task, name)), None)
        assert given == (step.spec.model_dump(mode="json") if step.spec else None), step.task_id
        assert getattr(task, "kind", None) == step.kind
        assert getattr(task, "cache", False) == step.cache


def test_what_a_task_reads_and_writes_itself_is_the_dags(planned: Any) -> None:
    _, _, steps, dag = planned
    for step in steps:
        task = dag.get_task(step.task_id)
        if step.operator == "InvokeEndpointOperator":  # `source` is empty: it sends a body
            continue
        assert [getattr(task, name) for name in READ if getattr(task, name, None)] == list(step.reads)
        assert [getattr(task, name) for name in WRITTEN if hasattr(task, name)] == list(step.writes)


def test_the_command_knows_the_trigger_forms(planned: Any) -> None:
    pipeline, family, _, dag = planned
    assert command._form(pipeline, family) == {name: dag.params[name] for name in dag.params}


def test_a_scheduled_run_has_the_id_that_the_timetable_gives_it(planned: Any) -> None:
    from argparse import Namespace
    from datetime import date

    from airflow.timetables.base import TimeRestriction
    from airflow.utils.types import DagRunType

    pipeline, family, _, dag = planned
    if family != "nightly_batch_transform":
        return
    from airflow.serialization.serialized_objects import DagSerialization

    timetable: Any = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    info = timetable.next_dagrun_info(
        last_automated_data_interval=None,
        restriction=TimeRestriction(earliest=dag.start_date, latest=None, catchup=True),
    )
    expected = timetable.generate_run_id(
        run_type=DagRunType.SCHEDULED, run_after=info.run_after, data_interval=info.data_interval
    )
    day: date = pipeline.batch.start_date
    run = command._run(Namespace(partition=day, param=[], run_id=None), pipeline, family)
    assert (run.run_id, run.logical_date) == (expected, info.logical_date)
