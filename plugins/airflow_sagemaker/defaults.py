"""What the tasks of a pipeline's DAGs have in common."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow_sagemaker.specs.pipeline import Pipeline
from airflow_sagemaker.specs.quotas import load_quotas


def default_args(pipeline: Pipeline, include: Path | None = None) -> dict[str, Any]:
    """For `DAG(default_args=…)`: the owner, and retries for passing trouble.

    What another try cannot mend is not tried again: see `policies.retry_policy`. With the include folder also
    the pools of its `quotas.yaml`, where job tasks queue.
    """
    pools = {"pools": load_quotas(include).pools()} if include is not None else {}
    return {
        **pools,
        "owner": pipeline.owner,
        "retries": 2,
        "retry_delay": timedelta(seconds=20),
        "retry_exponential_backoff": 3.0,
        "max_retry_delay": timedelta(minutes=10),
    }
