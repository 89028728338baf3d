"""From raw data to a registered model.

A run checks the raw partitions, prepares training and test tables and checks those, trains, evaluates and
holds the metrics against the bars, compiles the model, makes sure that the compiled model says what the
original says, registers it and approves it. Approval is what the endpoint rollout waits for.

Whatever fails, nothing is registered. Everything a run makes lies under `<name>/builds/<run>/`.
The DAG has no schedule, so a backfill can neither register nor roll out a model.
"""

from __future__ import annotations

from pathlib import Path

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Asset, chain

from airflow_sagemaker.defaults import default_args
from airflow_sagemaker.names import TEMPLATE_MACROS
from airflow_sagemaker.operators.compilation import CompilationJobOperator
from airflow_sagemaker.operators.metrics import MetricBarOperator
from airflow_sagemaker.operators.model import ApproveModelOperator, RegisterModelOperator
from airflow_sagemaker.operators.processing import ProcessingJobOperator
from airflow_sagemaker.operators.quality import DataQualityGateOperator
from airflow_sagemaker.operators.training import TrainingJobOperator
from airflow_sagemaker.params import build_params
from airflow_sagemaker.specs import model_build as build
from airflow_sagemaker.specs.layout import Layout
from airflow_sagemaker.specs.loading import load_pipelines
from airflow_sagemaker.specs.pipeline import Pipeline

INCLUDE = Path(__file__).parent.parent / "include"


def model_build(pipeline: Pipeline) -> DAG:
    """The DAG of one pipeline."""
    layout = Layout(pipeline.name)
    with DAG(
        dag_id=f"{pipeline.name}__model_build",
        dag_display_name=f"{pipeline.name}: build a model",
        description=pipeline.description,
        doc_md=f"{pipeline.description}\n\n{__doc__}",
        schedule=None,
        catchup=False,
        max_active_runs=4,
        tags={"sagemaker", "model_build", pipeline.name, *pipeline.tags},
        user_defined_macros=TEMPLATE_MACROS,
        default_args=default_args(pipeline, INCLUDE),
    ) as dag:
        gate_raw = DataQualityGateOperator(
            task_id="gate_raw",
            suite=pipeline.data.suite,
            suites=INCLUDE / "expectations",
            table=layout.raw,
            first_partition=build.FIRST_PARTITION,
            last_partition=build.LAST_PARTITION,
            gaps_allowed=pipeline.data.gaps_allowed,
            results=layout.build("quality/raw"),
        )
        prepare = ProcessingJobOperator(
            task_id="prepare", job=build.prepare_job(pipeline), cache=pipeline.prepare.cache
        )
        gate_prepared = DataQualityGateOperator(
            task_id="gate_prepared",
            suite=pipeline.prepare.suite,
            suites=INCLUDE / "expectations",
            table=build.prepared_table(),
            columns_from=build.prepared_columns(),
            results=layout.build("quality/prepared"),
        )
        train = TrainingJobOperator(
            task_id="train", job=build.training_job(pipeline), cache=pipeline.training.cache
        )
        evaluate = ProcessingJobOperator(
            task_id="evaluate", job=build.evaluation_job(pipeline), cache=pipeline.evaluation.cache
        )
        check_metrics = MetricBarOperator(
            task_id="check_metrics", source=build.evaluation_report(), bars=pipeline.evaluation.bars
        )
        compile_model = CompilationJobOperator(
            task_id="compile", job=build.compilation_job(pipeline), cache=pipeline.compilation.cache
        )
        verify = ProcessingJobOperator(
            task_id="verify", job=build.verification_job(pipeline), cache=pipeline.compilation.cache
        )
        check_agreement = MetricBarOperator(
            task_id="check_agreement",
            source=build.verification_report(),
            bars=pipeline.compilation.bars,
        )
        register = RegisterModelOperator(task_id="register", model=build.model_package(pipeline))
        review = (
            ApprovalOperator(
                task_id="review",
                subject=f"Approve a new version of {pipeline.name}?",
                body=build.REVIEW,
            )
            if pipeline.registration.approval == "manual"
            else None
        )
        approve = ApproveModelOperator(
            task_id="approve",
            model_package_arn=build.MODEL_PACKAGE_ARN,
            note="{{ dag.dag_id }} {{ run_id }}",
            outlets=[Asset(pipeline.approved_model)],
        )

        chain(gate_raw, prepare, gate_prepared, train, evaluate, check_metrics)
        chain(check_metrics, compile_model, verify, check_agreement, register)
        chain(register, *([review] if review else []), approve)
        # Last: Airflow copies the params that are there into every operator, as long as all else takes.
        dag.params = build_params(pipeline)
    return dag


for loaded in load_pipelines(INCLUDE).pipelines:
    model_build(loaded)
