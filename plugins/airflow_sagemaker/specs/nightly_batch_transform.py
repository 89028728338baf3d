"""What each task of `<name>__nightly_batch_transform` asks of SageMaker, taken from the pipeline's spec.

Nothing here depends on the run but its partition and the model version, so that scoring a partition again
writes the same objects to the same places.
"""

from __future__ import annotations

from airflow_sagemaker.specs.layout import Layout
from airflow_sagemaker.specs.model_build import INPUT, OUTPUT, output_of
from airflow_sagemaker.specs.pipeline import Pipeline
from airflow_sagemaker.specs.processing import ProcessingInput, ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.transform import TransformJob, TransformResources

#: The day being scored: the first task settles it, by parameter or logical date.
DAY = "{{ ti.xcom_pull(task_ids='partition')['partition'] }}"
CHOSEN_PACKAGE_ARN = "{{ ti.xcom_pull(task_ids='choose_model')['model_package_arn'] }}"

#: Where the jobs wrote; with the cache that may have been for another run.
FEATURES = output_of("features", "features")
PREDICTIONS = "{{ ti.xcom_pull(task_ids='transform')['output'] }}"

#: The prepare programs write this one file; batch transform names its answer after it.
FEATURES_FILE = "features.csv"
PREDICTIONS_FILE = f"{FEATURES_FILE}.out"


def features_job(pipeline: Pipeline) -> ProcessingJob:
    """One raw partition → its features, a row for each row."""
    layout = Layout(pipeline.name)
    return ProcessingJob(
        image=pipeline.images.prepare,
        arguments=("--mode", "batch", *pipeline.batch.arguments),
        inputs=(ProcessingInput(name="raw", source=layout.raw_partition(DAY), path=f"{INPUT}/raw"),),
        outputs=(
            ProcessingOutput(
                name="features", path=f"{OUTPUT}/features", destination=layout.batch(DAY, "features")
            ),
        ),
        resources=pipeline.batch.prepare_compute.resources,
        max_runtime_s=pipeline.batch.prepare_compute.max_runtime_s,
    )


def transform_job(pipeline: Pipeline) -> TransformJob:
    """Features → predictions, a row for each row."""
    layout = Layout(pipeline.name)
    compute = pipeline.batch.transform_compute
    return TransformJob(
        model_package_arn=CHOSEN_PACKAGE_ARN,
        source=FEATURES,
        destination=layout.batch(DAY, "predictions"),
        strategy=pipeline.batch.strategy,
        max_payload_mb=pipeline.batch.max_payload_mb,
        max_concurrent=pipeline.batch.max_concurrent,
        resources=TransformResources(
            instance_type=compute.instance_type, instance_count=compute.instance_count
        ),
        max_runtime_s=compute.max_runtime_s,
    )


def features_table() -> str:
    """What was scored: one row for each prediction."""
    return FEATURES + FEATURES_FILE


def predictions_table() -> str:
    """What the transform job answered."""
    return PREDICTIONS + PREDICTIONS_FILE
