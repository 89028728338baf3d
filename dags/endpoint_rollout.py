"""From an approved model to the live endpoint.

Runs whenever a version of the model is approved, and by hand for any approved version. The endpoint is
created, or updated while it goes on serving; then it must answer the smoke test of the pipeline's spec. If it
does not, the endpoint goes back to the configuration it had, and the run is red: `live` is green only when
the new version serves.
"""

from __future__ import annotations

from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, TriggerRule, chain

from airflow_sagemaker.defaults import default_args
from airflow_sagemaker.names import TEMPLATE_MACROS
from airflow_sagemaker.operators.approved_model import ChooseModelOperator
from airflow_sagemaker.operators.endpoint import (
    EndpointRolloutOperator,
    InvokeEndpointOperator,
    RevertEndpointOperator,
)
from airflow_sagemaker.params import rollout_params
from airflow_sagemaker.specs import endpoint_rollout as rollout
from airflow_sagemaker.specs.loading import load_pipelines
from airflow_sagemaker.specs.pipeline import Pipeline

INCLUDE = Path(__file__).parent.parent / "include"


def endpoint_rollout(pipeline: Pipeline) -> DAG:
    """The DAG of one pipeline."""
    with DAG(
        dag_id=f"{pipeline.name}__endpoint_rollout",
        dag_display_name=f"{pipeline.name}: roll out the endpoint",
        description=pipeline.description,
        doc_md=f"{pipeline.description}\n\n{__doc__}",
        schedule=Asset(pipeline.approved_model),
        catchup=False,
        max_active_runs=1,
        tags={"sagemaker", "endpoint_rollout", pipeline.name, *pipeline.tags},
        user_defined_macros=TEMPLATE_MACROS,
        default_args=default_args(pipeline, INCLUDE),
    ) as dag:
        choose_model = ChooseModelOperator(
            task_id="choose_model",
            group=pipeline.model_package_group,
            model_package_arn="{{ params.model_package_arn or '' }}",
        )
        roll_out = EndpointRolloutOperator(task_id="roll_out", endpoint=rollout.rollout(pipeline))
        smoke_test = InvokeEndpointOperator(
            task_id="smoke_test",
            endpoint_name=pipeline.endpoint_name,
            body=pipeline.rollout.smoke_test.body,
            expect_pattern=pipeline.rollout.smoke_test.response_pattern,
        )
        revert = RevertEndpointOperator(
            task_id="revert",
            endpoint_name=pipeline.endpoint_name,
            endpoint_config_name=rollout.PREVIOUS_CONFIG,
            trigger_rule=TriggerRule.ALL_FAILED,
        )
        live = EmptyOperator(task_id="live")

        chain(choose_model, roll_out, smoke_test, [live, revert])
        # Last: Airflow copies the params that are there into every operator, as long as all else takes.
        dag.params = rollout_params(pipeline)
    return dag


for loaded in load_pipelines(INCLUDE).pipelines:
    endpoint_rollout(loaded)
