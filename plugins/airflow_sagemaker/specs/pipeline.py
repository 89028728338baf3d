"""A pipeline: everything that makes one family of DAGs, as `include/pipelines/<name>.yaml` says it.

The model below is the reference for those files: every field says what it is for, and a spec that does not
fit is refused with file, line, field and the allowed values (see `loading.py`).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from airflow_sagemaker.specs.base import Resources, Spec
from airflow_sagemaker.specs.hyperparameter import Hyperparameter
from airflow_sagemaker.specs.metrics import MetricBar
from airflow_sagemaker.specs.transform import within_what_may_be_under_way

#: Of what Neo supports, the frameworks whose compiled models our serving images understand.
Framework = Literal["SKLEARN", "XGBOOST"]

#: Neo's targets that are instance families of SageMaker itself (TargetDevice in its API), CPU only: endpoints
#: and batch transform run there, edge devices do not.
TargetDevice = Literal["ml_c4", "ml_c5", "ml_c6g", "ml_m4", "ml_m5", "ml_m6g"]

#: Airflow's own run parameters of the build; a hyperparameter of the same name would hide them in the form.
RESERVED_PARAMS = frozenset({"first_partition", "last_partition"})

PipelineName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=40)]
SageMakerName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", max_length=63)]
SuiteName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
Tag = Annotated[str, Field(min_length=1, max_length=100)]
DailySchedule = Annotated[str, Field(pattern=r"^(@daily|[1-5]?[0-9] (1?[0-9]|2[0-3]) \* \* \*)$")]
#: Nine days, the most of a processing job: more would fail in its own spec, and with it the whole file.
Minutes = Annotated[int, Field(ge=1, le=9 * 24 * 60)]


class Section(Spec):
    """A mapping of the file. The text below a field is what errors say about it."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Compute(Section):
    """What a job runs on."""

    instance_type: InstanceType = "ml.m5.large"
    """Instance type, for example ml.m5.large."""
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1
    """How many instances share the work."""
    volume_gb: Annotated[int, Field(ge=1, le=16384)] = 30
    """Disk of each instance; batch transform has no such setting and ignores it."""
    max_runtime_minutes: Minutes = 60
    """The job is stopped and fails when it runs longer."""
    typical_runtime_minutes: Minutes | None = None
    """How long the job usually runs, for the cost that `plan` estimates."""

    @property
    def resources(self) -> Resources:
        """The machines as a job's spec has them."""
        return Resources(
            instance_type=self.instance_type, instance_count=self.instance_count, volume_gb=self.volume_gb
        )

    @property
    def max_runtime_s(self) -> int:
        """The limit as a job's spec has it."""
        return self.max_runtime_minutes * 60


class Data(Section):
    """The raw data, landed as `<name>/raw/dt=<date>/data.csv` with a header."""

    first_partition: date
    """First daily partition a build uses unless the run says otherwise."""
    last_partition: date
    """Last daily partition a build uses unless the run says otherwise; included."""
    suite: SuiteName
    """Expectations that raw partitions must meet, in the build and every night."""
    gaps_allowed: bool = False
    """Whether a build accepts that days between its first and last partition are missing."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_partition < self.first_partition:
            raise ValueError("last_partition is before first_partition; give them in order")
        return self


class Images(Section):
    """The pipeline's two images. Without a `/` a name means that repository in the connection's registry."""

    model: str
    """Image with the programs train, serve, evaluate and verify."""
    prepare: str
    """Image whose entrypoint turns raw data into features, for a build and for a batch."""


class Prepare(Section):
    """Raw partitions → training and test tables."""

    arguments: tuple[str, ...] = ()
    """Further arguments of the prepare program when it works for a build."""
    suite: SuiteName
    """Expectations that the prepared training table must meet."""
    cache: bool = False
    """Whether an earlier job with the same image, arguments and data may stand in for the job."""
    compute: Compute = Compute()
    """What the job runs on."""


class Training(Section):
    """The training job."""

    hyperparameters: dict[str, Hyperparameter] = {}
    """Hyperparameters by name; each becomes a typed field of the trigger form."""
    cache: bool = False
    """Whether an earlier job with the same image, hyperparameters and data may stand in for the job."""
    compute: Compute = Compute()
    """What the job runs on."""

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        for name in self.hyperparameters:
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) or name in RESERVED_PARAMS:
                raise ValueError(
                    f"hyperparameter {name!r} cannot be a field of the form; use letters, digits and _, "
                    f"and none of {', '.join(sorted(RESERVED_PARAMS))}"
                )
        return self


class Evaluation(Section):
    """The metrics of the trained model on the test table, and the bars they must pass."""

    bars: Annotated[dict[str, MetricBar], Field(min_length=1)]
    """Bar by metric, for example `accuracy: {at_least: 0.95, better_than: baseline_accuracy}`."""
    cache: bool = False
    """Whether an earlier job with the same image, model and data may stand in for the job."""
    compute: Compute = Compute()
    """What the job runs on."""


class Compilation(Section):
    """Neo, and the check that the compiled model still says what the original says."""

    framework: Framework
    """Framework the model was trained with."""
    framework_version: str | None = None
    """Version of the framework, where Neo wants it."""
    target_device: TargetDevice = "ml_m5"
    """Instance family the compiled model will run on."""
    input_shapes: Annotated[dict[str, tuple[int, ...]], Field(min_length=1)]
    """Shape by input name, for example `input: [1, 64]`."""
    max_runtime_minutes: Minutes = 15
    """The compilation is stopped and fails when it runs longer."""
    bars: Annotated[dict[str, MetricBar], Field(min_length=1)]
    """Bar by metric of the comparison, for example `max_abs_diff: {at_most: 1e-5}`."""
    if_not_faster: Literal["fail", "serve_original"] = "fail"
    """What a compilation does whose result is not faster: fail, or hand on the original model."""
    cache: bool = False
    """Whether earlier jobs with the same model and settings may stand in, for compilation and comparison."""
    compute: Compute = Compute()
    """What the comparison runs on."""


class Registration(Section):
    """The model package: what is registered, and who approves it."""

    approval: Literal["auto", "manual"]
    """auto: a model that passes every bar is approved; manual: a person approves it in Airflow first."""
    group: SageMakerName | None = None
    """Model package group; by default the pipeline's name with dashes."""
    description: str = ""
    """Shown with every version in the registry."""


class SmokeTest(Section):
    """One request that a new endpoint configuration must answer before it is kept."""

    body: str
    """The request's body."""
    response_pattern: str
    """Regular expression that the whole answer must match."""

    @model_validator(mode="after")
    def _pattern_compiles(self) -> Self:
        try:
            re.compile(self.response_pattern)
        except re.error as error:
            raise ValueError(f"response_pattern is not a regular expression: {error}") from None
        return self


class Rollout(Section):
    """The endpoint."""

    endpoint_name: SageMakerName | None = None
    """Name of the endpoint; by default the pipeline's name with dashes."""
    instance_type: InstanceType = "ml.m5.large"
    """Instance type of the model servers."""
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1
    """How many model servers share the traffic."""
    smoke_test: SmokeTest
    """Request and answer that decide whether a new version stays."""


class Batch(Section):
    """The nightly scoring of one raw partition."""

    schedule: DailySchedule = "@daily"
    """When, in UTC: @daily for midnight, or `<minute> <hour> * * *`; each run scores the day that ended."""
    start_date: date
    """First partition that is scored; a backfill reaches back to it."""
    end_date: date | None = None
    """Last partition that is scored, for data that has an end."""
    max_active_runs: Annotated[int, Field(ge=1, le=64)] = 4
    """How many partitions are scored side by side."""
    arguments: tuple[str, ...] = ()
    """Further arguments of the prepare program when it works for a batch."""
    prepare_compute: Compute = Compute()
    """What the feature job runs on."""
    transform_compute: Compute = Compute()
    """What the transform job runs on."""
    strategy: Literal["MultiRecord", "SingleRecord"] = "MultiRecord"
    """How many lines one request to the model server carries."""
    max_payload_mb: Annotated[int, Field(ge=0, le=100)] = 6
    """Largest request to the model server."""
    max_concurrent: Annotated[int, Field(ge=0, le=100)] = 0
    """Requests in flight per model server; 0 lets the image say, which knows how many it can work on."""
    prediction_columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the columns that the model answers, in order; the gate and the manifest use them."""
    prediction_suite: SuiteName
    """Expectations that the predictions of a partition must meet before they are published."""
    cache: bool = False
    """Whether earlier jobs with the same image or model and the same data may stand in, for both jobs."""

    _under_way = field_validator("max_concurrent")(within_what_may_be_under_way)

    @field_validator("end_date")
    @classmethod
    def _after_the_start(cls, end_date: date | None, info: ValidationInfo) -> date | None:
        start_date = info.data.get("start_date")
        if end_date and start_date and end_date < start_date:
            raise ValueError(f"{end_date} is before start_date, {start_date}; give them in order")
        return end_date

    @property
    def first_logical_date(self) -> datetime:
        """Where the schedule begins."""
        return datetime.combine(self.start_date, time(), UTC)

    @property
    def last_logical_date(self) -> datetime | None:
        """Where the schedule ends, if it does."""
        return datetime.combine(self.end_date, time(), UTC) if self.end_date else None


class Pipeline(Section):
    """One family of DAGs."""

    name: PipelineName
    """Name of the file without `.yaml`; prefix of the DAG ids and of everything in S3."""
    description: str
    """One or two sentences that open the documentation of each DAG."""
    owner: str
    """Owner of the tasks, as Airflow shows it."""
    tags: tuple[Tag, ...] = ()
    """Further tags of the DAGs."""
    data: Data
    """Where training data comes from."""
    images: Images
    """The programs."""
    prepare: Prepare
    """Raw data → tables."""
    training: Training
    """Tables → model."""
    evaluation: Evaluation
    """Is the model good enough?"""
    compilation: Compilation
    """Model → compiled model."""
    registration: Registration
    """Compiled model → model package."""
    rollout: Rollout
    """Model package → endpoint."""
    batch: Batch
    """Model package → predictions of a night."""

    @property
    def slug(self) -> str:
        """The name as SageMaker allows it: no underscores."""
        return self.name.replace("_", "-")

    @property
    def model_package_group(self) -> str:
        """Where versions of the model are registered."""
        return self.registration.group or self.slug

    @property
    def endpoint_name(self) -> str:
        """The endpoint that serves the model."""
        return self.rollout.endpoint_name or self.slug

    @property
    def approved_model(self) -> str:
        """URI of the asset that an approved version of the model is.

        The scheme starts with `x-` because for any other Airflow loads the asset handlers of all providers,
        Amazon's with boto3, in every process that parses the DAG.
        """
        return f"x-sagemaker://{self.name}/approved-model"

    @property
    def suites(self) -> dict[tuple[str, str], str]:
        """Every suite the pipeline names, by the field that names it."""
        return {
            ("data", "suite"): self.data.suite,
            ("prepare", "suite"): self.prepare.suite,
            ("batch", "prediction_suite"): self.batch.prediction_suite,
        }
