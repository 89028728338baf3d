"""What each task of `<name>__endpoint_rollout` asks of SageMaker, taken from the pipeline's spec."""

from __future__ import annotations

from airflow_sagemaker.specs.endpoint import EndpointRollout
from airflow_sagemaker.specs.pipeline import Pipeline

CHOSEN_PACKAGE_ARN = "{{ ti.xcom_pull(task_ids='choose_model')['model_package_arn'] }}"

#: What the endpoint served before; empty for a new one, and when the rollout itself failed.
PREVIOUS_CONFIG = "{{ (ti.xcom_pull(task_ids='roll_out') or {}).get('previous_endpoint_config_name') or '' }}"


def rollout(pipeline: Pipeline) -> EndpointRollout:
    """The pipeline's endpoint, serving the chosen model version."""
    return EndpointRollout(
        endpoint_name=pipeline.endpoint_name,
        model_package_arn=CHOSEN_PACKAGE_ARN,
        instance_type=pipeline.rollout.instance_type,
        instance_count=pipeline.rollout.instance_count,
    )
