"""Last night's data, scored.

Each run scores one daily partition of raw data: the day that just ended, or in a backfill the day of its
logical date. The partition must have landed and meet its expectations; its features go through the newest
approved model (or the version that a run names) by batch transform; the predictions must meet theirs; then
they are published as `<name>/predictions/dt=<day>/predictions.csv`, with `manifest.json` written last.

To score past days: `airflow backfill create --dag-id <this DAG> --from-date 2026-01-01 --to-date 2026-01-07`.
With `--reprocess-behavior completed` days are scored again; the same data and model give the same bytes.
Nothing here registers or rolls out a model.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, CronDataIntervalTimetable, chain

from airflow_sagemaker.defaults import default_args
from airflow_sagemaker.names import TEMPLATE_MACROS
from airflow_sagemaker.operators.approved_model import ChooseModelOperator
from airflow_sagemaker.operators.partition import PartitionOperator
from airflow_sagemaker.operators.processing import ProcessingJobOperator
from airflow_sagemaker.operators.publication import PublishPredictionsOperator
from airflow_sagemaker.operators.quality import DataQualityGateOperator
from airflow_sagemaker.operators.transform import BatchTransformOperator
from airflow_sagemaker.params import nightly_params
from airflow_sagemaker.specs import nightly_batch_transform as night
from airflow_sagemaker.specs.layout import Layout
from airflow_sagemaker.specs.loading import load_pipelines
from airflow_sagemaker.specs.pipeline import Pipeline

INCLUDE = Path(__file__).parent.parent / "include"


def nightly_batch_transform(pipeline: Pipeline) -> DAG:
    """The DAG of one pipeline."""
    layout = Layout(pipeline.name)
    with DAG(
        dag_id=f"{pipeline.name}__nightly_batch_transform",
        dag_display_name=f"{pipeline.name}: score last night's data",
        description=pipeline.description,
        doc_md=f"{pipeline.description}\n\n{__doc__}",
        schedule=CronDataIntervalTimetable(pipeline.batch.schedule, timezone="UTC"),
        start_date=pipeline.batch.first_logical_date,
        end_date=pipeline.batch.last_logical_date,
        catchup=False,
        max_active_runs=pipeline.batch.max_active_runs,
        tags={"sagemaker", "nightly_batch_transform", pipeline.name, *pipeline.tags},
        user_defined_macros=TEMPLATE_MACROS,
        default_args=default_args(pipeline, INCLUDE),
    ) as dag:
        partition = PartitionOperator(
            task_id="partition", table=layout.raw, day="{{ params.partition or '' }}"
        )
        gate_raw = DataQualityGateOperator(
            task_id="gate_raw",
            suite=pipeline.data.suite,
            suites=INCLUDE / "expectations",
            table=layout.raw_partition(night.DAY),
            results=layout.batch(night.DAY, "quality/raw"),
        )
        choose_model = ChooseModelOperator(
            task_id="choose_model",
            group=pipeline.model_package_group,
            model_package_arn="{{ params.model_package_arn or '' }}",
        )
        features = ProcessingJobOperator(
            task_id="features", job=night.features_job(pipeline), cache=pipeline.batch.cache
        )
        transform = BatchTransformOperator(
            task_id="transform", transform=night.transform_job(pipeline), cache=pipeline.batch.cache
        )
        gate_predictions = DataQualityGateOperator(
            task_id="gate_predictions",
            suite=pipeline.batch.prediction_suite,
            suites=INCLUDE / "expectations",
            table=night.predictions_table(),
            columns=pipeline.batch.prediction_columns,
            results=layout.batch(night.DAY, "quality/predictions"),
        )
        publish = PublishPredictionsOperator(
            task_id="publish",
            partition=night.DAY,
            features=night.features_table(),
            predictions=night.predictions_table(),
            destination=layout.published(night.DAY),
            columns=pipeline.batch.prediction_columns,
            model_package_arn=night.CHOSEN_PACKAGE_ARN,
        )

        chain(partition, gate_raw, features, transform, gate_predictions, publish)
        chain(partition, choose_model, transform)
        # Last: Airflow copies the params that are there into every operator, as long as all else takes.
        dag.params = nightly_params(pipeline)
    return dag


for loaded in load_pipelines(INCLUDE).pipelines:
    nightly_batch_transform(loaded)
