"""A DAG for each kind of step, short and cheap, for the tests that kill things.

``fault_<kind>`` ends as a pipeline's step does; ``resumed_<kind>`` has an outlet, and so ends on a worker.
The run's conf may hold ``seconds``, how long the work takes, and ``crash`` (``crash_points.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import crash_points  # type: ignore[import-not-found]  # beside this file, in the DAGs folder
from airflow.sdk import DAG, Asset

from airflow_sagemaker.names import TEMPLATE_MACROS
from airflow_sagemaker.operators.compilation import CompilationJobOperator
from airflow_sagemaker.operators.endpoint import EndpointRolloutOperator
from airflow_sagemaker.operators.model import RegisterModelOperator
from airflow_sagemaker.operators.processing import ProcessingJobOperator
from airflow_sagemaker.operators.training import TrainingJobOperator
from airflow_sagemaker.operators.transform import BatchTransformOperator
from airflow_sagemaker.operators.tuning import TuningJobOperator
from airflow_sagemaker.policies import retry_policy
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.compilation import CompilationJob
from airflow_sagemaker.specs.endpoint import EndpointRollout
from airflow_sagemaker.specs.model import ModelPackage
from airflow_sagemaker.specs.processing import ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.training import MetricDefinition, TrainingJob
from airflow_sagemaker.specs.transform import TransformJob
from airflow_sagemaker.specs.tuning import IntegerParameterRange, TuningJob

IMAGE = "short"
SECONDS = "{{ dag_run.conf.get('seconds', 3) }}"
VERSION = "arn:aws:sagemaker:us-east-1:123456789012:model-package/faults/1"
RETRY_DELAY = timedelta(seconds=2)


def folder(kind: str) -> str:
    """Where a run writes."""
    return f"faults/{kind}/{{{{ run_key(run_id) }}}}/"


class SpotTrainingOperator(TrainingJobOperator):
    """Training on spot instances, which the spec does not offer."""

    def request(self, spec: TrainingJob) -> JsonObject:
        """The body of CreateTrainingJob."""
        limits = {"MaxRuntimeInSeconds": spec.max_runtime_s, "MaxWaitTimeInSeconds": spec.max_runtime_s}
        return super().request(spec) | {"EnableManagedSpotTraining": True, "StoppingCondition": limits}


def training(kind: str) -> TrainingJob:
    """A training job that writes a model."""
    return TrainingJob(image=IMAGE, output=folder(kind), hyperparameters={"seconds": SECONDS})


def processing_step(**more: Any) -> None:
    output = ProcessingOutput(name="rows", path="/opt/ml/processing/output", destination=folder("processing"))
    job = ProcessingJob(image=IMAGE, entrypoint=("process",), arguments=(SECONDS,), outputs=(output,))
    ProcessingJobOperator(job=job, **more)


def training_step(**more: Any) -> None:
    TrainingJobOperator(job=training("training"), **more)


def spot_step(**more: Any) -> None:
    SpotTrainingOperator(job=training("spot"), **more)


def compilation_step(**more: Any) -> None:
    job = CompilationJob(
        model_uri="faults/compile/model.tar.gz",
        framework="SKLEARN",
        input_shapes={"input": (1, 2)},
        output=folder("compilation"),
        target_device="ml_m5",
    )
    CompilationJobOperator(job=job, **more)


def transform_step(**more: Any) -> None:
    transform = TransformJob(
        model_package_arn=VERSION,
        source="faults/rows/",
        destination=folder("transform"),
        environment={"ANSWER_SECONDS": SECONDS},
    )
    BatchTransformOperator(transform=transform, **more)


def tuning_step(**more: Any) -> None:
    metric = MetricDefinition(name="score", regex="score=([0-9.]+)")
    each = training("tuning").model_copy(update={"metric_definitions": (metric,)})
    depth = IntegerParameterRange(type="integer", minimum=1, maximum=9)
    job = TuningJob(training=each, metric="score", ranges={"depth": depth}, max_jobs=2, max_parallel=2)
    TuningJobOperator(job=job, **more)


def endpoint_step(**more: Any) -> None:
    endpoint = EndpointRollout(
        endpoint_name="fault-{{ run_key(run_id) }}",
        model_package_arn=VERSION,
        environment={"SECONDS": SECONDS},
    )
    EndpointRolloutOperator(endpoint=endpoint, **more)


def registration_step(**more: Any) -> None:
    model = ModelPackage(
        group="fault-registration",
        image=IMAGE,
        model_uri="faults/serve/model.tar.gz",
        metadata={"run": "{{ run_id }}"},
    )
    RegisterModelOperator(model=model, **more)


STEPS: dict[str, Callable[..., None]] = {
    "processing": processing_step,
    "training": training_step,
    "compilation": compilation_step,
    "transform": transform_step,
    "tuning": tuning_step,
    "endpoint": endpoint_step,
    "registration": registration_step,
    "spot": spot_step,
}


def fault_dag(dag_id: str, step: Callable[..., None], **more: Any) -> DAG:
    """One step, armed."""
    with DAG(
        dag_id=dag_id,
        schedule=None,
        catchup=False,
        user_defined_macros=TEMPLATE_MACROS,
        default_args={"owner": "tests", "retries": 2, "retry_delay": RETRY_DELAY},
    ) as dag:
        policy = retry_policy(longest=RETRY_DELAY)
        step(task_id="step", retry_policy=policy, pre_execute=crash_points.arm, **more)
    return dag


for kind, each in STEPS.items():
    globals()[f"fault_{kind}"] = fault_dag(f"fault_{kind}", each)
    globals()[f"resumed_{kind}"] = fault_dag(f"resumed_{kind}", each, outlets=[Asset(f"resumed_{kind}")])
