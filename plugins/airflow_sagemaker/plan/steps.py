"""The tasks of each DAG family in their order, as a plan sees them: no Airflow is loaded for it.

`tests/dags/test_plan_steps.py` holds this table to the DAG files: the same tasks, operators, specs and order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_sagemaker.kinds import COMPILATION, PROCESSING, TRAINING, TRANSFORM, JobKind
from airflow_sagemaker.specs import endpoint_rollout as rollout
from airflow_sagemaker.specs import model_build as build
from airflow_sagemaker.specs import nightly_batch_transform as night
from airflow_sagemaker.specs.base import Spec
from airflow_sagemaker.specs.layout import Layout
from airflow_sagemaker.specs.pipeline import Compute, Pipeline


@dataclass(frozen=True)
class Step:
    """One task.

    :param spec: what it asks of SageMaker, with templates
    :param kind: the kind of its job, if it runs one
    :param compute: what its job runs on, as the pipeline says it
    :param reads: prefixes and objects it reads itself, beside those of its job
    :param writes: prefixes it writes itself, beside those of its job
    """

    task_id: str
    operator: str
    spec: Spec | None = None
    kind: JobKind | None = None
    compute: Compute | None = None
    cache: bool = False
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


def _processing(task_id: str, spec: Spec, compute: Compute, cache: bool) -> Step:
    return Step(task_id, "ProcessingJobOperator", spec, PROCESSING, compute, cache)


def _gate(task_id: str, table: str, results: str, *more: str) -> Step:
    return Step(task_id, "DataQualityGateOperator", reads=(table, *more), writes=(results,))


def model_build(pipeline: Pipeline) -> list[Step]:
    """Raw data → an approved version of a model."""
    layout = Layout(pipeline.name)
    compiled = pipeline.compilation
    steps = [
        _gate("gate_raw", layout.raw, layout.build("quality/raw")),
        _processing("prepare", build.prepare_job(pipeline), pipeline.prepare.compute, pipeline.prepare.cache),
        _gate(
            "gate_prepared",
            build.prepared_table(),
            layout.build("quality/prepared"),
            build.prepared_columns(),
        ),
        Step(
            "train",
            "TrainingJobOperator",
            build.training_job(pipeline),
            TRAINING,
            pipeline.training.compute,
            pipeline.training.cache,
        ),
        _processing(
            "evaluate",
            build.evaluation_job(pipeline),
            pipeline.evaluation.compute,
            pipeline.evaluation.cache,
        ),
        Step("check_metrics", "MetricBarOperator", reads=(build.evaluation_report(),)),
        Step(
            "compile",
            "CompilationJobOperator",
            build.compilation_job(pipeline),
            COMPILATION,
            cache=compiled.cache,
        ),
        _processing("verify", build.verification_job(pipeline), compiled.compute, compiled.cache),
        Step("check_agreement", "MetricBarOperator", reads=(build.verification_report(),)),
        Step("register", "RegisterModelOperator", build.model_package(pipeline)),
    ]
    if pipeline.registration.approval == "manual":
        steps.append(Step("review", "ApprovalOperator"))
    return [*steps, Step("approve", "ApproveModelOperator")]


def endpoint_rollout(pipeline: Pipeline) -> list[Step]:
    """An approved version → the endpoint."""
    return [
        Step("choose_model", "ChooseModelOperator"),
        Step("roll_out", "EndpointRolloutOperator", rollout.rollout(pipeline)),
        Step("smoke_test", "InvokeEndpointOperator"),
        Step("live", "EmptyOperator"),
        Step("revert", "RevertEndpointOperator"),
    ]


def nightly_batch_transform(pipeline: Pipeline) -> list[Step]:
    """One raw partition → published predictions."""
    layout, batch = Layout(pipeline.name), pipeline.batch
    day = night.DAY
    return [
        Step("partition", "PartitionOperator", reads=(layout.raw,)),
        _gate("gate_raw", layout.raw_partition(day), layout.batch(day, "quality/raw")),
        Step("choose_model", "ChooseModelOperator"),
        _processing("features", night.features_job(pipeline), batch.prepare_compute, batch.cache),
        Step(
            "transform",
            "BatchTransformOperator",
            night.transform_job(pipeline),
            TRANSFORM,
            batch.transform_compute,
            batch.cache,
        ),
        _gate("gate_predictions", night.predictions_table(), layout.batch(day, "quality/predictions")),
        Step(
            "publish",
            "PublishPredictionsOperator",
            reads=(night.features_table(), night.predictions_table()),
            writes=(layout.published(day),),
        ),
    ]


FAMILIES: Mapping[str, Callable[[Pipeline], list[Step]]] = {
    "model_build": model_build,
    "nightly_batch_transform": nightly_batch_transform,
    "endpoint_rollout": endpoint_rollout,
}
