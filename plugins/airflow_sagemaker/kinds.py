"""The kinds of jobs as data: what each is called in AWS's API, when it has ended, what came of it.

Operators, triggers, the hook and the links all read this table, so a kind is described once.
Status values are those of botocore's service model (``ProcessingJobStatus`` and its siblings);
``CompilationJobStatus`` alone is written in capitals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from airflow_sagemaker.names import MAX_NAME_LENGTH

TUNING_NAME_LENGTH = 32
"""``HyperParameterTuningJobName`` is shorter than its siblings: its training jobs' names begin with it."""

CLIENT_TOKEN_LENGTH = 36


class End(Enum):
    """How a job ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


ENDS: Mapping[str, End] = {
    "COMPLETED": End.COMPLETED,
    "FAILED": End.FAILED,
    "STOPPED": End.STOPPED,
}
STOPPING = "STOPPING"
DOOMED = frozenset({STOPPING, "DELETING", "DELETEFAILED"})
"""Not ended, and never to complete: on its way to being stopped, or to not being there at all."""
LIMIT_WORDS = ("maxruntime", "max runtime", "maximum runtime", "maxwaittime")
"""``SecondaryStatus`` of a training job is MaxRuntimeExceeded; other kinds say it in their reason."""
OVERRUN_WORDS = (*LIMIT_WORDS, "timeout", "timed out")
OTHER_FAULTS = ("algorithmerror", "internalservererror", "internalerror")
"""How a reason begins that quotes the program or blames the service: its timeouts are other ones."""


@dataclass(frozen=True)
class JobKind:
    """One kind of job in the words of the API."""

    noun: str
    title: str
    """As it stands in operation and field names: ``Create<title>``, ``<title>Name``."""
    operation: str
    """As it stands in a client's method names: ``create_<operation>``."""
    log_group: str
    console_path: str
    results: Callable[[Mapping[str, Any]], dict[str, Any]]
    """The small XCom that a completed job leaves, from its describe answer."""
    runs_a_container: bool = True
    """Whether timeouts of a program, or of asking it, may stand in the reason."""
    start_field: str | None = None
    """When it left pending, for a kind whose run time the service does not limit."""
    name_limit: int = MAX_NAME_LENGTH
    anew_when_cleared: bool = True
    """Whether a cleared task makes another one; what costs nothing and is what it holds is made once."""
    stream_ending: str = "/"
    """What follows the job's name in the names of its log streams."""
    log_metrics: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Figures that such a job prints of itself, and Describe does not have: regular expression by name."""

    @property
    def name_field(self) -> str:
        """Field of the name, in requests and answers."""
        return f"{self.title}Name"

    @property
    def arn_field(self) -> str:
        """Field of the ARN in answers."""
        return f"{self.title}Arn"

    @property
    def list_operation(self) -> str:
        """The client's method that lists jobs in pages."""
        return f"list_{self.operation}s"

    @property
    def summaries_field(self) -> str:
        """Field of the jobs in an answer of :attr:`list_operation`."""
        return f"{self.title}Summaries"

    def stream_prefix(self, name: str) -> str:
        """What the names of a job's log streams begin with."""
        return f"{name}{self.stream_ending}"

    def status(self, described: Mapping[str, Any]) -> str:
        """The job's status as AWS writes it."""
        return str(described[f"{self.title}Status"])

    def end(self, described: Mapping[str, Any]) -> End | None:
        """How the described job ended, or None while it has not."""
        return ENDS.get(self.status(described).upper())

    def is_alive(self, described: Mapping[str, Any]) -> bool:
        """Whether the job may still complete: a stopping one can not."""
        return self.end(described) is None and self.status(described).upper() not in DOOMED

    def overran(self, described: Mapping[str, Any]) -> bool:
        """Whether AWS ended the job because its own maximum run or waiting time had passed.

        Most kinds are stopped then, a compilation fails. What a failed job says may be about another timeout.
        """
        reason = self.reason(described).lower()
        failed = self.end(described) is End.FAILED
        if failed and reason.startswith(OTHER_FAULTS):
            return False
        words = LIMIT_WORDS if failed and self.runs_a_container else OVERRUN_WORDS
        return any(word in f"{described.get('SecondaryStatus', '')} {reason}".lower() for word in words)

    def reason(self, described: Mapping[str, Any]) -> str:
        """What AWS, or the program itself, gives as the reason."""
        given = described.get("FailureReason") or described.get("ExitMessage")
        return str(given) if given else "AWS gives no reason"


def _processing_results(described: Mapping[str, Any]) -> dict[str, Any]:
    outputs = described.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return {"outputs": {output["OutputName"]: output["S3Output"]["S3Uri"] for output in outputs}}


def _training_results(described: Mapping[str, Any]) -> dict[str, Any]:
    metrics = described.get("FinalMetricDataList", [])
    return {
        "model_uri": described["ModelArtifacts"]["S3ModelArtifacts"],
        "metrics": {metric["MetricName"]: metric["Value"] for metric in metrics},
    }


def _compilation_results(described: Mapping[str, Any]) -> dict[str, Any]:
    return {"compiled_uri": described["ModelArtifacts"]["S3ModelArtifacts"], "metrics": {}}


def _transform_results(described: Mapping[str, Any]) -> dict[str, Any]:
    return {"output": described["TransformOutput"]["S3OutputPath"]}


def _tuning_results(described: Mapping[str, Any]) -> dict[str, Any]:
    """The best job; its artefact lies where every training job's does, below the output path."""
    best = described.get("BestTrainingJob") or {}
    metric = best.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
    name = best.get("TrainingJobName")
    output = _best_definition(described, best).get("OutputDataConfig", {}).get("S3OutputPath")
    return {
        "best_job_name": name,
        "metric": {metric["MetricName"]: metric["Value"]} if metric else {},
        "hyperparameters": dict(best.get("TunedHyperParameters", {})),
        "model_uri": f"{output.rstrip('/')}/{name}/output/model.tar.gz" if name and output else None,
        "counts": {_snake(status): n for status, n in described.get("TrainingJobStatusCounters", {}).items()},
    }


def _best_definition(described: Mapping[str, Any], best: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definition that the best job was trained by; a tuning job has one, or several by name."""
    several: list[Mapping[str, Any]] = described.get("TrainingJobDefinitions") or []
    wanted = best.get("TrainingJobDefinitionName")
    named = next((each for each in several if each.get("DefinitionName") == wanted), None)
    single: Mapping[str, Any] = described.get("TrainingJobDefinition") or {}
    return named or single


def _snake(words: str) -> str:
    """``NonRetryableError`` as ``non_retryable_error``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", words).lower()


PROCESSING = JobKind(
    noun="processing job",
    title="ProcessingJob",
    operation="processing_job",
    log_group="/aws/sagemaker/ProcessingJobs",
    console_path="processing-jobs",
    results=_processing_results,
)
TRAINING = JobKind(
    noun="training job",
    title="TrainingJob",
    operation="training_job",
    log_group="/aws/sagemaker/TrainingJobs",
    console_path="jobs",
    results=_training_results,
)
COMPILATION = JobKind(
    noun="compilation job",
    title="CompilationJob",
    operation="compilation_job",
    log_group="/aws/sagemaker/CompilationJobs",
    console_path="compilation-jobs",
    results=_compilation_results,
    runs_a_container=False,
    log_metrics={
        "max_abs_diff": r"^proof: equal on .* max_abs_diff=([-+.e0-9]+)",
        "rows_that_differ": r"^proof: equal on .* rows_that_differ=([0-9]+)",
        **{f"speed_up_{rows}": rf"^proof: rows={rows} .* speed_up=([-+.e0-9]+)" for rows in (1, 32, 1024)},
    },
)
TRANSFORM = JobKind(
    noun="transform job",
    title="TransformJob",
    operation="transform_job",
    log_group="/aws/sagemaker/TransformJobs",
    console_path="transform-jobs",
    results=_transform_results,
    start_field="TransformStartTime",
)
TUNING = JobKind(
    noun="tuning job",
    title="HyperParameterTuningJob",
    operation="hyper_parameter_tuning_job",
    log_group="/aws/sagemaker/TrainingJobs",
    console_path="hyper-tuning-jobs",
    results=_tuning_results,
    name_limit=TUNING_NAME_LENGTH,
    stream_ending="-",
)
MODEL_VERSION = JobKind(
    noun="model version",
    title="ModelPackage",
    operation="model_package",
    log_group="",
    console_path="model-packages",
    results=lambda described: {"version": described["ModelPackageVersion"]},
    name_limit=CLIENT_TOKEN_LENGTH,
    anew_when_cleared=False,
)
"""Registering is no job, but goes the same way; its name is the ClientToken, which AWS keeps unique."""

KINDS: Mapping[str, JobKind] = {
    kind.operation: kind for kind in (PROCESSING, TRAINING, COMPILATION, TRANSFORM, TUNING)
}


def results_of(kind: JobKind, described: Mapping[str, Any]) -> dict[str, Any]:
    """The XCom of a completed job: its name, its ARN, and what its kind adds."""
    return {
        "job_name": described[kind.name_field],
        "job_arn": described[kind.arn_field],
        **kind.results(described),
    }
