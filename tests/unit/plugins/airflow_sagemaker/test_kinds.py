from __future__ import annotations

from typing import Any

import botocore.session
import pytest

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
            {"compiled_uri": "s3://b/c.tar.gz"},
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
