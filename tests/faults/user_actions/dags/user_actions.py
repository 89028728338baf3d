"""Jobs that wait to be acted upon: one DAG for each timeout of Airflow, one for each kind of job.

Beside this file lies ``timeouts.json``, by which a test shortens the DAG timeout once a run is where it wants
it: `{"dag_s": 3600}`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from airflow.sdk import DAG

from airflow_sagemaker.operators.compilation import CompilationJobOperator
from airflow_sagemaker.operators.endpoint import EndpointRolloutOperator
from airflow_sagemaker.operators.processing import ProcessingJobOperator
from airflow_sagemaker.operators.training import TrainingJobOperator
from airflow_sagemaker.operators.transform import BatchTransformOperator
from airflow_sagemaker.operators.tuning import TuningJobOperator
from airflow_sagemaker.triggers.job import JobTrigger

TIMEOUTS: Mapping[str, float] = json.loads((Path(__file__).parent / "timeouts.json").read_text())
TASK_ID = "job"
MANY = 100

TRAINING: dict[str, Any] = {
    "image": "patient",
    "output": "user-actions/models/",
    "hyperparameters": {"seconds": "{{ dag_run.conf.get('seconds', 600) }}"},
}
MODEL_PACKAGE_ARN = "{{ dag_run.conf['model_package_arn'] }}"


class AirflowsTimeoutOperator(TrainingJobOperator):
    """A training job whose deferral Airflow itself ends, as when no triggerer is there to do it."""

    def defer(self, *, timeout: Any = None, **kwargs: Any) -> NoReturn:
        """Defer for ten seconds."""
        super().defer(timeout=timedelta(seconds=10), **kwargs)


class TriggersTimeoutOperator(TrainingJobOperator):
    """A training job that the trigger waits for no longer than twenty seconds."""

    def trigger(self, name: str, **_: Any) -> JobTrigger:
        """Wait for twenty seconds, whatever the job's own limit."""
        return super().trigger(name, deadline_s=time.time() + 20, max_runtime_s=None)


def dag(name: str, **kwargs: Any) -> DAG:
    """A DAG that is started by hand, and never for want of slots waits."""
    return DAG(
        f"user_actions__{name}",
        schedule=None,
        catchup=False,
        max_active_runs=MANY,
        max_active_tasks=MANY,
        default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
        tags={"user_actions"},
        **kwargs,
    )


with dag("plain"):
    TrainingJobOperator(task_id=TASK_ID, job=TRAINING)

with dag("dag_timeout", dagrun_timeout=timedelta(seconds=TIMEOUTS["dag_s"])):
    TrainingJobOperator(task_id=TASK_ID, job=TRAINING)

with dag("task_timeout"):
    TrainingJobOperator(task_id=TASK_ID, job=TRAINING, execution_timeout=timedelta(seconds=45), retries=0)

with dag("long_task_timeout"):
    TrainingJobOperator(task_id=TASK_ID, job=TRAINING, execution_timeout=timedelta(seconds=90), retries=1)

with dag("deferral_timeout"):
    TriggersTimeoutOperator(task_id=TASK_ID, job=TRAINING)

with dag("airflows_deferral_timeout"):
    AirflowsTimeoutOperator(task_id=TASK_ID, job=TRAINING)

with dag("on_worker_plain"):
    TrainingJobOperator(task_id=TASK_ID, job=TRAINING, worker_wait_s=3600)

with dag("on_worker_dag_timeout", dagrun_timeout=timedelta(seconds=TIMEOUTS["dag_s"])):
    TrainingJobOperator(task_id=TASK_ID, job=TRAINING, worker_wait_s=3600)

with dag("on_worker_task_timeout"):
    TrainingJobOperator(
        task_id=TASK_ID,
        job=TRAINING,
        worker_wait_s=3600,
        execution_timeout=timedelta(seconds=45),
        retries=0,
    )

with dag("on_worker_deferral_timeout"):
    TriggersTimeoutOperator(task_id=TASK_ID, job=TRAINING, worker_wait_s=3600)

with dag("processing"):
    ProcessingJobOperator(task_id=TASK_ID, job={"image": "patient", "entrypoint": ["process"]})

with dag("transform"):
    BatchTransformOperator(
        task_id=TASK_ID,
        transform={
            "model_package_arn": MODEL_PACKAGE_ARN,
            "source": "user-actions/rows/",
            "destination": "user-actions/predictions/",
        },
    )

with dag("compilation"):
    CompilationJobOperator(
        task_id=TASK_ID,
        job={
            "model_uri": "user-actions/slow-to-compile/model.tar.gz",
            "framework": "SKLEARN",
            "input_shapes": {"input": [1, 2]},
            "output": "user-actions/compiled/",
            "target_device": "ml_m5",
        },
    )

with dag("tuning"):
    TuningJobOperator(
        task_id=TASK_ID,
        job={
            "training": {
                **TRAINING,
                "metric_definitions": [{"name": "loss", "regex": "loss=([0-9.]+)"}],
            },
            "metric": "loss",
            "ranges": {"depth": {"type": "integer", "minimum": 1, "maximum": 9}},
            "max_jobs": 2,
            "max_parallel": 2,
        },
    )

with dag("endpoint"):
    EndpointRolloutOperator(
        task_id=TASK_ID,
        endpoint={
            "endpoint_name": "user-actions",
            "model_package_arn": MODEL_PACKAGE_ARN,
            "environment": {"PING_AFTER_S": 100},
        },
    )
