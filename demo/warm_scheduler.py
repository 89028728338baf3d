"""Airflow's scheduler with everything in memory that tasks import: the workers are forked from it.

Each task runs in a process of its own, and importing SageMaker's SDK costs it two seconds of processor time,
great-expectations three. Forked from a scheduler that has imported them, a task starts in a moment. Only the
demo and the tests do this; nothing depends on it, a cold scheduler just takes longer.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

TASKS_IMPORT = (
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.sdk",
    "airflow.sdk.execution_time.task_runner",
    "airflow_sagemaker.hooks.quality",
    "airflow_sagemaker.hooks.tables",
    "airflow_sagemaker.operators.approved_model",
    "airflow_sagemaker.operators.compilation",
    "airflow_sagemaker.operators.endpoint",
    "airflow_sagemaker.operators.metrics",
    "airflow_sagemaker.operators.model",
    "airflow_sagemaker.operators.processing",
    "airflow_sagemaker.operators.publication",
    "airflow_sagemaker.operators.quality",
    "airflow_sagemaker.operators.training",
    "airflow_sagemaker.operators.transform",
    "great_expectations",
    "sagemaker.core.resources",
)


def main() -> None:
    """Import, then be `airflow scheduler`."""
    sys.path.append(str(Path(__file__).resolve().parent.parent / "plugins"))
    # Its settings must be in the environment when the SDK is imported.
    importlib.import_module("airflow_sagemaker.hooks.sdk").prepare_environment("us-east-1")
    for name in TASKS_IMPORT:
        importlib.import_module(name)
    sys.argv = ["airflow", "scheduler"]
    importlib.import_module("airflow.__main__").main()


if __name__ == "__main__":
    main()
