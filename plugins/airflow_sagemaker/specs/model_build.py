"""What each task of `<name>__model_build` asks of SageMaker, taken from the pipeline's spec.

Paths below /opt/ml and the names of files in them are the contract with the pipeline's images (see
`containers/`); results of earlier tasks come as XComs.
"""

from __future__ import annotations

from airflow_sagemaker.specs.compilation import CompilationJob
from airflow_sagemaker.specs.layout import Layout
from airflow_sagemaker.specs.model import ModelPackage
from airflow_sagemaker.specs.pipeline import Pipeline
from airflow_sagemaker.specs.processing import ProcessingInput, ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.training import Channel, TrainingJob

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"

FIRST_PARTITION = "{{ params.first_partition }}"
LAST_PARTITION = "{{ params.last_partition }}"
MODEL_URI = "{{ ti.xcom_pull(task_ids='train')['model_uri'] }}"
COMPILED_URI = "{{ ti.xcom_pull(task_ids='compile')['compiled_uri'] }}"
MODEL_PACKAGE_ARN = "{{ ti.xcom_pull(task_ids='register')['model_package_arn'] }}"


def output_of(task_id: str, name: str) -> str:
    """Prefix of an output of a processing job: where it was written, which an earlier run may have done."""
    return f"{{{{ ti.xcom_pull(task_ids='{task_id}')['outputs']['{name}'] }}}}"


#: What a person reads who has to approve a version.
REVIEW = """\
`{{ ti.xcom_pull(task_ids='register')['model_package_arn'] }}`

| Metric | Value |
|---|---|
{% for task in ('check_metrics', 'check_agreement') -%}
{% for name, value in ti.xcom_pull(task_ids=task).items() -%}
| {{ name }} | {{ value }} |
{% endfor -%}
{% endfor %}"""


def prepare_job(pipeline: Pipeline) -> ProcessingJob:
    """Raw partitions → training and test tables, and the names of their columns."""
    layout = Layout(pipeline.name)
    return ProcessingJob(
        image=pipeline.images.prepare,
        arguments=(
            *("--mode", "build"),
            *("--from", FIRST_PARTITION),
            *("--until", LAST_PARTITION),
            *pipeline.prepare.arguments,
        ),
        inputs=(ProcessingInput(name="raw", source=layout.raw, path=f"{INPUT}/raw"),),
        outputs=tuple(
            ProcessingOutput(name=name, path=f"{OUTPUT}/{name}", destination=layout.build(f"prepared/{name}"))
            for name in ("train", "test", "columns")
        ),
        resources=pipeline.prepare.compute.resources,
        max_runtime_s=pipeline.prepare.compute.max_runtime_s,
    )


def prepared_table() -> str:
    """The training table, which its gate checks."""
    return output_of("prepare", "train")


def prepared_columns() -> str:
    """The names of the tables' columns."""
    return output_of("prepare", "columns") + "columns.json"


def training_job(pipeline: Pipeline) -> TrainingJob:
    """Training table → model.tar.gz."""
    layout = Layout(pipeline.name)
    return TrainingJob(
        image=pipeline.images.model,
        hyperparameters={
            name: f"{{{{ params['{name}'] | string }}}}" for name in pipeline.training.hyperparameters
        },
        channels={"train": Channel(source=output_of("prepare", "train"), content_type="text/csv")},
        output=layout.build("training"),
        resources=pipeline.training.compute.resources,
        max_runtime_s=pipeline.training.compute.max_runtime_s,
    )


def evaluation_job(pipeline: Pipeline) -> ProcessingJob:
    """Model and test table → evaluation.json."""
    layout = Layout(pipeline.name)
    return ProcessingJob(
        image=pipeline.images.model,
        entrypoint=("/opt/program/evaluate",),
        inputs=(
            ProcessingInput(name="model", source=MODEL_URI, path=f"{INPUT}/model"),
            ProcessingInput(name="test", source=output_of("prepare", "test"), path=f"{INPUT}/test"),
        ),
        outputs=(
            ProcessingOutput(
                name="evaluation", path=f"{OUTPUT}/evaluation", destination=layout.build("evaluation")
            ),
        ),
        resources=pipeline.evaluation.compute.resources,
        max_runtime_s=pipeline.evaluation.compute.max_runtime_s,
    )


def evaluation_report() -> str:
    """Where the evaluation's metrics lie."""
    return output_of("evaluate", "evaluation") + "evaluation.json"


def compilation_job(pipeline: Pipeline) -> CompilationJob:
    """model.tar.gz → the same model compiled for the machines that will serve it."""
    return CompilationJob(
        model_uri=MODEL_URI,
        framework=pipeline.compilation.framework,
        framework_version=pipeline.compilation.framework_version,
        input_shapes=pipeline.compilation.input_shapes,
        output=Layout(pipeline.name).build("compiled"),
        target_device=pipeline.compilation.target_device,
        if_not_faster=pipeline.compilation.if_not_faster,
        max_runtime_s=pipeline.compilation.max_runtime_minutes * 60,
    )


def verification_job(pipeline: Pipeline) -> ProcessingJob:
    """Original and compiled model side by side on the test table → verification.json."""
    layout = Layout(pipeline.name)
    return ProcessingJob(
        image=pipeline.images.model,
        entrypoint=("/opt/program/verify",),
        inputs=(
            ProcessingInput(name="model", source=MODEL_URI, path=f"{INPUT}/model"),
            ProcessingInput(name="compiled", source=COMPILED_URI, path=f"{INPUT}/compiled"),
            ProcessingInput(name="test", source=output_of("prepare", "test"), path=f"{INPUT}/test"),
        ),
        outputs=(
            ProcessingOutput(
                name="verification", path=f"{OUTPUT}/verification", destination=layout.build("verification")
            ),
        ),
        resources=pipeline.compilation.compute.resources,
        max_runtime_s=pipeline.compilation.compute.max_runtime_s,
    )


def verification_report() -> str:
    """Where the metrics of the comparison lie."""
    return output_of("verify", "verification") + "verification.json"


def model_package(pipeline: Pipeline) -> ModelPackage:
    """The compiled model with what it was made from, ready for approval."""
    return ModelPackage(
        group=pipeline.model_package_group,
        group_description=pipeline.description,
        description=pipeline.registration.description or None,
        image=pipeline.images.model,
        model_uri=COMPILED_URI,
        metrics=evaluation_report(),
        realtime_instance_types=(pipeline.rollout.instance_type,),
        transform_instance_types=(pipeline.batch.transform_compute.instance_type,),
        metadata={
            "dag_id": "{{ dag.dag_id }}",
            "run_id": "{{ run_id }}",
            "first_partition": FIRST_PARTITION,
            "last_partition": LAST_PARTITION,
            "original_model": MODEL_URI,
        },
    )
