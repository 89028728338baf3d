"""Everything that a task of this plugin imports and reads before its job exists, taken into memory at once.

Airflow forks a process for each task, from LocalExecutor's scheduler or from a Celery worker. What the parent
has in memory is there in the task, so a step starts its job sooner. In ``airflow_local_settings.py``::

    from airflow_sagemaker.preload import preload

    preload()

Nothing depends on it.
"""

from __future__ import annotations

import importlib

from airflow_sagemaker.hooks.sagemaker import service_models

TASKS_IMPORT = (
    "airflow.sdk.execution_time.task_runner",
    "airflow_sagemaker.hooks.jobs",
    "airflow_sagemaker.operators.compilation",
    "airflow_sagemaker.operators.processing",
    "airflow_sagemaker.operators.training",
    "airflow_sagemaker.operators.transform",
    "airflow_sagemaker.operators.tuning",
    "airflow_sagemaker.triggers.job",
)


def preload() -> None:
    """Import what job tasks import, and read botocore's model of SageMaker."""
    for name in TASKS_IMPORT:
        importlib.import_module(name)
    import botocore.session

    session = botocore.session.get_session()
    session.register_component("data_loader", service_models())
    # A client that calls nothing: making it reads what making any other reads.
    session.create_client(
        "sagemaker",
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106  # nothing is signed with it
    )
