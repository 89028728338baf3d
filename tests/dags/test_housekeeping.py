"""Which DAGs keep house, and what of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import CronTriggerTimetable

Copy = tuple[Path, Callable[[], DagBag]]


def test_orphans_are_looked_for_every_few_minutes_by_one_run_at_a_time(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["housekeeping__orphans"]
    assert dag.task_ids == ["stop_orphans"]
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.timetable == CronTriggerTimetable("*/5 * * * *", timezone="UTC")
    assert dag.params["only_report"] is False
    task: Any = dag.get_task("stop_orphans")
    assert task.only_report == "{{ params.only_report }}"


def test_what_pipelines_use_is_known(dag_bag: DagBag) -> None:
    task: Any = dag_bag.dags["housekeeping__unused"].get_task("remove_unused")
    assert task.endpoint_names == ["bank-marketing", "digits"]
    assert len(task.dag_ids) == 4
    assert set(task.dag_ids) < set(dag_bag.dag_ids)
    assert task.retention == {"endpoint_configs_days": 30, "models_days": 30, "job_logs_days": 90}


def test_wrong_retention_says_where(copy: Copy) -> None:
    folder, parse = copy
    (folder / "include" / "housekeeping.yaml").write_text("models_days: 0\n")
    (message,) = parse().import_errors.values()
    assert "include/housekeeping.yaml: models_days: " in message
    assert "write a number of days, or null" in message


def test_tasks_take_the_pools_that_quotas_name(copy: Copy) -> None:
    folder, parse = copy
    (folder / "include" / "quotas.yaml").write_text("training: {ml.m5.large: 4}\n")
    bag = parse()
    assert bag.import_errors == {}
    tasks = bag.dags["digits__model_build"].task_dict
    assert tasks["train"].pool == "ml.m5.large-training"
    assert {tasks[name].pool for name in ("prepare", "compile", "register")} == {"default_pool"}
