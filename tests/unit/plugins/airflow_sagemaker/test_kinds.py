from __future__ import annotations

import re
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from airflow_sagemaker.kinds import (
    COMPILATION,
    ENDS,
    KINDS,
    PROCESSING,
    STOPPING,
    TRAINING,
    TRANSFORM,
    End,
    JobKind,
    results_of,
)

SERVICE: Any = botocore.session.get_session().get_service_model("sagemaker")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
class TestTheTableSaysWhatTheApiModelSays:
    def test_operations_and_fields(self, kind: JobKind) -> None:
        for verb in ("Create", "Describe", "Stop"):
            assert kind.name_field in SERVICE.operation_model(f"{verb}{kind.title}").input_shape.members
        answer = SERVICE.operation_model(f"Describe{kind.title}").output_shape.members
        assert {kind.name_field, kind.arn_field, f"{kind.title}Status", "FailureReason"} <= set(answer)

    def test_jobs_of_every_kind_are_listed_in_pages(self, kind: JobKind) -> None:
        operation = next(name for name in SERVICE.operation_names if xform_name(name) == kind.list_operation)
        model = SERVICE.operation_model(operation)
        wanted = {"LastModifiedTimeAfter", "StatusEquals", "MaxResults", "NextToken"}
        assert wanted <= set(model.input_shape.members)
        summary = set(model.output_shape.members[kind.summaries_field].member.members)
        assert {kind.name_field, f"{kind.title}Status", "LastModifiedTime"} <= summary

    def test_a_name_is_as_long_as_it_may_be(self, kind: JobKind) -> None:
        shape = SERVICE.operation_model(f"Create{kind.title}").input_shape.members[kind.name_field]
        assert kind.name_limit == shape.metadata["max"]

    def test_every_status_is_an_end_or_on_its_way(self, kind: JobKind) -> None:
        answer = SERVICE.operation_model(f"Describe{kind.title}").output_shape.members
        written = set(answer[f"{kind.title}Status"].enum)
        ended = {status for status in written if status.upper() in ENDS}
        alive = {"InProgress", "INPROGRESS", "STARTING"}
        stopping = {status for status in written if status.upper() == STOPPING}
        # A training or transform job that is being deleted is on its way to not being there.
        assert written - ended - stopping - alive <= {"Deleting", "DeleteFailed"}
        assert len(ended) == 3


@pytest.mark.parametrize(
    ("kind", "described", "more"),
    [
        (
            "hyper_parameter_tuning_job",
            {
                "BestTrainingJob": {
                    "TrainingJobName": "best",
                    "TunedHyperParameters": {"C": "1"},
                    "FinalHyperParameterTuningJobObjectiveMetric": {"MetricName": "acc", "Value": 0.5},
                },
                "TrainingJobDefinition": {"OutputDataConfig": {"S3OutputPath": "s3://b/o/"}},
                "TrainingJobStatusCounters": {"Completed": 3, "NonRetryableError": 1},
            },
            {
                "best_job_name": "best",
                "metric": {"acc": 0.5},
                "hyperparameters": {"C": "1"},
                "model_uri": "s3://b/o/best/output/model.tar.gz",
                "counts": {"completed": 3, "non_retryable_error": 1},
            },
        ),
        (
            "hyper_parameter_tuning_job",
            {
                "BestTrainingJob": {"TrainingJobName": "best", "TrainingJobDefinitionName": "b"},
                "TrainingJobDefinitions": [
                    {"DefinitionName": "a", "OutputDataConfig": {"S3OutputPath": "s3://b/a"}},
                    {"DefinitionName": "b", "OutputDataConfig": {"S3OutputPath": "s3://b/b"}},
                ],
            },
            {
                "best_job_name": "best",
                "metric": {},
                "hyperparameters": {},
                "model_uri": "s3://b/b/best/output/model.tar.gz",
                "counts": {},
            },
        ),
        (
            "hyper_parameter_tuning_job",
            {"TrainingJobDefinition": {"OutputDataConfig": {"S3OutputPath": "s3://b/o/"}}},
            {"best_job_name": None, "metric": {}, "hyperparameters": {}, "model_uri": None, "counts": {}},
        ),
        (
            "training_job",
            {
                "ModelArtifacts": {"S3ModelArtifacts": "s3://b/model.tar.gz"},
                "FinalMetricDataList": [{"MetricName": "acc", "Value": 0.5, "Timestamp": 0}],
            },
            {"model_uri": "s3://b/model.tar.gz", "metrics": {"acc": 0.5}},
        ),
        (
            "training_job",
            {"ModelArtifacts": {"S3ModelArtifacts": "s3://b/model.tar.gz"}},
            {"model_uri": "s3://b/model.tar.gz", "metrics": {}},
        ),
        (
            "processing_job",
            {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "o", "S3Output": {"S3Uri": "s3://b/o"}}]}},
            {"outputs": {"o": "s3://b/o"}},
        ),
        ("processing_job", {}, {"outputs": {}}),
        (
            "compilation_job",
            {"ModelArtifacts": {"S3ModelArtifacts": "s3://b/c.tar.gz"}},
            {"compiled_uri": "s3://b/c.tar.gz", "metrics": {}},
        ),
        ("transform_job", {"TransformOutput": {"S3OutputPath": "s3://b/out/"}}, {"output": "s3://b/out/"}),
    ],
)
def test_a_completed_job_leaves_a_small_xcom(
    kind: str, described: dict[str, Any], more: dict[str, Any]
) -> None:
    named = {KINDS[kind].name_field: "n", KINDS[kind].arn_field: "arn:n"}
    assert results_of(KINDS[kind], {**named, **described}) == {"job_name": "n", "job_arn": "arn:n", **more}


@pytest.mark.parametrize(
    ("described", "overran"),
    [
        ({"SecondaryStatus": "MaxRuntimeExceeded"}, True),
        ({"SecondaryStatus": "MaxWaitTimeExceeded"}, True),
        ({"SecondaryStatus": "Stopped"}, False),
        ({"ExitMessage": "Stopped: max runtime of 60 s exceeded"}, True),
        ({}, False),
    ],
)
def test_a_job_stopped_by_its_own_limit_is_told_from_one_that_somebody_stopped(
    described: dict[str, Any], overran: bool
) -> None:
    assert TRAINING.overran({"TrainingJobStatus": "Stopped", **described}) is overran


@pytest.mark.parametrize(
    ("kind", "reason", "overran"),
    [
        (COMPILATION, "ClientError: the compilation ran longer than MaxRuntimeInSeconds (60)", True),
        (COMPILATION, "ClientError: Compilation timed out", True),
        (COMPILATION, "InternalServerError: timeout", False),
        (COMPILATION, "ClientError: no such framework", False),
        (PROCESSING, "Job exceeded its MaxRuntimeInSeconds", True),
        (PROCESSING, "AlgorithmError: TimeoutError: read timed out, exit code: 1", False),
        (PROCESSING, "AlgorithmError: max runtime of the solver is 0", False),
        (TRANSFORM, "ClientError: the model server timed out", False),
    ],
)
def test_a_job_failed_by_its_own_limit_is_told_from_one_that_met_another(
    kind: JobKind, reason: str, overran: bool
) -> None:
    described = {f"{kind.title}Status": "Failed", "FailureReason": reason}
    assert kind.overran(described) is overran


def test_stopped_is_an_end_but_never_success() -> None:
    assert TRAINING.end({"TrainingJobStatus": "Stopped"}) is End.STOPPED
    assert TRAINING.reason({"TrainingJobStatus": "Stopped"}) == "AWS gives no reason"


PROOF = (
    "proof: equal on 1025 random rows and 50 of calibration.csv, max_abs_diff=1.1e-16 (tolerance 1e-09), "
    "rows_that_differ=0",
    "proof: rows=1 original_us=168.07 compiled_us=2.44 speed_up=68.88",
    "proof: rows=32 original_us=171.87 (nthread=2) compiled_us=2.83 speed_up=60.73",
    "proof: rows=1024 original_us=243.7 compiled_us=300.0 speed_up=0.81 (slower)",
)
"""What the local SageMaker's compilers print, as their own tests have it."""


def test_a_compilations_proof_is_read_from_its_log() -> None:
    found = {
        name: float(match[1])
        for name, regex in COMPILATION.log_metrics.items()
        for line in PROOF
        if (match := re.search(regex, line))
    }
    assert found == {
        "max_abs_diff": 1.1e-16,
        "rows_that_differ": 0,
        "speed_up_1": 68.88,
        "speed_up_32": 60.73,
        "speed_up_1024": 0.81,
    }
