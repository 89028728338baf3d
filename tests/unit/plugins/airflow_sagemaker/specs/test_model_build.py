"""What the DAGs ask for is what AWS's own API model accepts, once rendered as Airflow renders it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel

from airflow_sagemaker.names import TEMPLATE_MACROS
from airflow_sagemaker.specs import endpoint_rollout, model_build, nightly_batch_transform
from airflow_sagemaker.specs.loading import load_pipelines
from airflow_sagemaker.specs.pipeline import Compute, Pipeline

INCLUDE = Path(__file__).parents[5] / "include"
PIPELINES = {pipeline.name: pipeline for pipeline in load_pipelines(INCLUDE).pipelines}
API = botocore.session.get_session().get_service_model("sagemaker")
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/digits/1"
BUILT = "s3://data/builds/earlier"
XCOMS: dict[str, Any] = {
    "prepare": {"outputs": {name: f"{BUILT}/{name}/" for name in ("train", "test", "columns")}},
    "evaluate": {"outputs": {"evaluation": f"{BUILT}/evaluation/"}},
    "verify": {"outputs": {"verification": f"{BUILT}/verification/"}},
    "features": {"outputs": {"features": "s3://data/batch/dt=2026-01-02/features/"}},
    "transform": {"output": "s3://data/batch/dt=2026-01-02/predictions/"},
    "train": {"model_uri": "s3://data/builds/training/job/output/model.tar.gz"},
    "compile": {"compiled_uri": "s3://data/builds/compiled/model-ml_m5.tar.gz"},
    "register": {"model_package_arn": PACKAGE},
    "choose_model": {"model_package_arn": PACKAGE},
    "partition": {"partition": "2026-01-02"},
    "check_metrics": {"accuracy": 0.97},
    "check_agreement": {"max_abs_diff": 1e-7},
}


@dataclass
class Ti:
    xcoms: dict[str, Any]

    def xcom_pull(self, task_ids: str) -> Any:
        return self.xcoms.get(task_ids)


class Places:
    role_arn = "arn:aws:iam::123456789012:role/sagemaker"

    def s3_uri(self, location: str) -> str:
        return location if location.startswith("s3://") else f"s3://data/{location}"

    def image_uri(self, image: str) -> str:
        return f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{image}:latest"


def rendered(value: Any, pipeline: Pipeline, xcoms: dict[str, Any] = XCOMS) -> Any:
    if isinstance(value, dict):
        return {key: rendered(item, pipeline, xcoms) for key, item in value.items()}
    if isinstance(value, list):
        return [rendered(item, pipeline, xcoms) for item in value]
    if not isinstance(value, str):
        return value
    params = {"first_partition": "2026-01-01", "last_partition": "2026-01-14"} | {
        name: given.value for name, given in pipeline.training.hyperparameters.items()
    }
    environment = SandboxedEnvironment(undefined=StrictUndefined)
    dag = {"dag_id": f"{pipeline.name}__model_build"}
    context = {"params": params, "ti": Ti(xcoms), "run_id": "manual__1", "dag": dag}
    return environment.from_string(value).render(**context, **TEMPLATE_MACROS)


def request(operation: str, spec: Any, pipeline: Pipeline, **name: str) -> dict[str, Any]:
    """The rendered request, refused by botocore's validator if it is not one."""
    again: Any = type(spec).model_validate(rendered(spec.model_dump(mode="json"), pipeline))
    model_name = ["model"] if operation == "CreateTransformJob" else []
    body: dict[str, Any] = again.to_request(Places(), *model_name)
    shape: Any = API.operation_model(operation).input_shape
    report = ParamValidator().validate(body | name, shape)
    assert not report.has_errors(), report.generate_report()
    return body


@pytest.fixture(params=sorted(PIPELINES))
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    return PIPELINES[request.param]


def test_every_job_is_a_request_that_aws_accepts(pipeline: Pipeline) -> None:
    for job in (
        model_build.prepare_job(pipeline),
        model_build.evaluation_job(pipeline),
        model_build.verification_job(pipeline),
        nightly_batch_transform.features_job(pipeline),
    ):
        request("CreateProcessingJob", job, pipeline, ProcessingJobName="job")
    request("CreateTrainingJob", model_build.training_job(pipeline), pipeline, TrainingJobName="job")
    request("CreateCompilationJob", model_build.compilation_job(pipeline), pipeline, CompilationJobName="job")
    request("CreateModelPackage", model_build.model_package(pipeline), pipeline)
    transform = nightly_batch_transform.transform_job(pipeline)
    request("CreateTransformJob", transform, pipeline, TransformJobName="job")
    assert rendered(endpoint_rollout.rollout(pipeline).model_package_arn, pipeline) == PACKAGE


def test_no_limit_of_a_pipeline_exceeds_its_jobs() -> None:
    """A job's spec that refused what a pipeline's accepts would break the DAG file for all pipelines."""
    longest_minutes = next(
        constraint.le
        for constraint in Compute.model_fields["max_runtime_minutes"].metadata
        if hasattr(constraint, "le")
    )

    def stretched(section: BaseModel) -> Any:
        values = {name: getattr(section, name) for name in type(section).model_fields}
        for name, value in values.items():
            if name == "max_runtime_minutes":
                values[name] = longest_minutes
            elif isinstance(value, BaseModel):
                values[name] = stretched(value)
        return type(section).model_validate(values)

    pipeline: Pipeline = stretched(PIPELINES["digits"])
    assert model_build.prepare_job(pipeline).max_runtime_s == longest_minutes * 60
    model_build.evaluation_job(pipeline)
    model_build.verification_job(pipeline)
    model_build.training_job(pipeline)
    model_build.compilation_job(pipeline)
    nightly_batch_transform.features_job(pipeline)
    nightly_batch_transform.transform_job(pipeline)


def test_what_a_slow_compilation_does_is_the_pipelines_to_say() -> None:
    digits = PIPELINES["digits"]
    assert model_build.compilation_job(digits).if_not_faster == "fail"
    compilation = digits.compilation.model_copy(update={"if_not_faster": "serve_original"})
    lenient = digits.model_copy(update={"compilation": compilation})
    assert model_build.compilation_job(lenient).if_not_faster == "serve_original"


def test_prepare_learns_from_the_days_of_the_run() -> None:
    digits = PIPELINES["digits"]
    body = request("CreateProcessingJob", model_build.prepare_job(digits), digits, ProcessingJobName="job")
    assert body["AppSpecification"] == {
        "ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/digits-prepare:latest",
        "ContainerArguments": [
            *("--mode", "build"),
            *("--from", "2026-01-01"),
            *("--until", "2026-01-14"),
            *("--test-partitions", "3"),
        ],
    }


def test_hyperparameters_are_the_runs() -> None:
    digits = PIPELINES["digits"]
    body = request("CreateTrainingJob", model_build.training_job(digits), digits, TrainingJobName="job")
    assert body["HyperParameters"] == {"C": "10.0", "gamma": "0.001", "calibration_folds": "5"}


def test_the_compiled_model_is_what_is_registered(pipeline: Pipeline) -> None:
    body = request("CreateModelPackage", model_build.model_package(pipeline), pipeline)
    (container,) = body["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == XCOMS["compile"]["compiled_uri"]
    assert body["ModelApprovalStatus"] == "PendingManualApproval"


def test_builds_never_share_a_prefix(pipeline: Pipeline) -> None:
    for make in (model_build.prepare_job, model_build.evaluation_job, model_build.verification_job):
        for output in make(pipeline).outputs:
            assert output.destination.startswith(f"{pipeline.name}/builds/{{{{ run_key(run_id) }}}}/")


def test_a_reviewer_sees_version_and_metrics(pipeline: Pipeline) -> None:
    assert rendered(model_build.REVIEW, pipeline).splitlines() == [
        f"`{PACKAGE}`",
        "",
        "| Metric | Value |",
        "|---|---|",
        "| accuracy | 0.97 |",
        "| max_abs_diff | 1e-07 |",
    ]


@pytest.mark.parametrize(
    ("rolled_out", "previous"),
    [
        ({"previous_endpoint_config_name": "digits-1"}, "digits-1"),
        ({"previous_endpoint_config_name": None}, ""),
        (None, ""),  # the rollout itself failed
    ],
)
def test_a_revert_knows_what_to_go_back_to(rolled_out: dict[str, Any] | None, previous: str) -> None:
    xcoms = {"roll_out": rolled_out}
    assert rendered(endpoint_rollout.PREVIOUS_CONFIG, PIPELINES["digits"], xcoms) == previous


def test_tasks_read_where_earlier_tasks_say_they_wrote() -> None:
    """With the cache that may be the prefix of another run."""
    digits = PIPELINES["digits"]
    train = request("CreateTrainingJob", model_build.training_job(digits), digits, TrainingJobName="job")
    (channel,) = train["InputDataConfig"]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == f"{BUILT}/train/"
    transform = nightly_batch_transform.transform_job(digits)
    body = request("CreateTransformJob", transform, digits, TransformJobName="job")
    source = body["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
    assert source == "s3://data/batch/dt=2026-01-02/features/"
    places = {
        model_build.prepared_table(): f"{BUILT}/train/",
        model_build.prepared_columns(): f"{BUILT}/columns/columns.json",
        model_build.evaluation_report(): f"{BUILT}/evaluation/evaluation.json",
        model_build.verification_report(): f"{BUILT}/verification/verification.json",
        nightly_batch_transform.features_table(): "s3://data/batch/dt=2026-01-02/features/features.csv",
        nightly_batch_transform.predictions_table(): (
            "s3://data/batch/dt=2026-01-02/predictions/features.csv.out"
        ),
    }
    assert {template: rendered(template, digits) for template in places} == places
