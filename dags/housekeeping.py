"""What runs or lies about in vain.

Every five minutes `housekeeping__orphans` stops the jobs in progress that this Airflow made and no task waits
for any more: the task instance is over, was deleted with its run, or is at work on a newer job. Every night
`housekeeping__unused` removes old endpoint configs, models and logs of jobs that nothing uses, by
`include/housekeeping.yaml`. With the param `only_report` either tells what it would do and does nothing.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, CronTriggerTimetable, Param

from airflow_sagemaker.operators.housekeeping import RemoveUnusedOperator
from airflow_sagemaker.operators.orphans import StopOrphansOperator
from airflow_sagemaker.specs.housekeeping import load_retention
from airflow_sagemaker.specs.loading import load_pipelines

INCLUDE = Path(__file__).parent.parent / "include"
PIPELINES = load_pipelines(INCLUDE).pipelines
ONLY_REPORT = Param(False, type="boolean", description="Tell what would be done, and do nothing.")

with DAG(
    dag_id="housekeeping__orphans",
    dag_display_name="housekeeping: stop orphaned jobs",
    description="Stops the jobs that no task waits for any more.",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC"),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    tags={"sagemaker", "housekeeping"},
    params={"only_report": ONLY_REPORT},
    default_args={"owner": "operations", "retries": 2},
):
    StopOrphansOperator(task_id="stop_orphans", only_report="{{ params.only_report }}")

with DAG(
    dag_id="housekeeping__unused",
    dag_display_name="housekeeping: remove what nothing uses",
    description="Removes old endpoint configs, models and logs of jobs.",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("40 3 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    tags={"sagemaker", "housekeeping"},
    params={"only_report": ONLY_REPORT},
    default_args={"owner": "operations", "retries": 2},
):
    RemoveUnusedOperator(
        task_id="remove_unused",
        retention=load_retention(INCLUDE),
        endpoint_names=[pipeline.endpoint_name for pipeline in PIPELINES],
        dag_ids=[
            f"{pipeline.name}__{family}"
            for pipeline in PIPELINES
            for family in ("endpoint_rollout", "nightly_batch_transform")
        ],
        only_report="{{ params.only_report }}",
    )
