"""What the tasks of a pipeline's DAGs have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow_sagemaker.specs.pipeline import Pipeline


def default_args(pipeline: Pipeline) -> dict[str, Any]:
    """For `DAG(default_args=…)`: the owner, and retries for passing trouble.

    What another try cannot mend is not tried again: see `policies.retry_policy`.
    """
    return {
        "owner": pipeline.owner,
        "retries": 2,
        "retry_delay": timedelta(seconds=20),
        "retry_exponential_backoff": 3.0,
        "max_retry_delay": timedelta(minutes=10),
    }
