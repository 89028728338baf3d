"""What this package tells Airflow about itself when it is installed as a provider."""

from __future__ import annotations

from typing import Any

from airflow_sagemaker import __version__


def get_provider_info() -> dict[str, Any]:
    """The entry point ``apache_airflow_provider`` (schema: ``airflow/provider_info.schema.json``)."""
    return {
        "package-name": "airflow-provider-sagemaker-pipelines",
        "name": "Amazon SageMaker jobs",
        "description": "Amazon SageMaker jobs that run exactly once, declared as specs.",
        "versions": [__version__],
        "extra-links": [
            "airflow_sagemaker.links.JobLink",
            "airflow_sagemaker.links.LogsLink",
            "airflow_sagemaker.links.OutputLink",
        ],
    }
