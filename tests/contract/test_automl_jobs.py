"""AutoML jobs with boto3: what ends them, what they refuse, and that a kill repeats nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import ROLE, eventually, unique

TABLE = "x,y,colour\n" + "".join(f"{n},{n * 2.5},{'red' if n % 3 else 'blue'}\n" for n in range(90))
OVER = ("Completed", "Failed", "Stopped")


class Job:
    """One AutoML job and its data."""

    def __init__(self, server: LocalServer, target: str, *, candidates: int = 2, **more: Any) -> None:
        self.server, self.name = server, unique("automl")[:24]
        s3 = server.client("s3")
        bucket = unique("automl")
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="in/table.csv", Body=TABLE.encode())
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/in/"}
        self.sagemaker.create_auto_ml_job(
            AutoMLJobName=self.name,
            InputDataConfig=[{"DataSource": {"S3DataSource": source}, "TargetAttributeName": target}],
            OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out"},
            RoleArn=ROLE,
            **{"AutoMLJobConfig": {"CompletionCriteria": {"MaxCandidates": candidates}}, **more},
        )

    @property
    def sagemaker(self) -> Any:
        return self.server.client("sagemaker")

    def described(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_auto_ml_job(AutoMLJobName=self.name)
        return answer

    def candidates(self) -> list[dict[str, Any]]:
        listed = self.sagemaker.list_candidates_for_auto_ml_job(
            AutoMLJobName=self.name, SortBy="FinalObjectiveMetricValue", SortOrder="Ascending"
        )
        found: list[dict[str, Any]] = listed["Candidates"]
        return found

    def ended(self) -> dict[str, Any]:
        eventually(lambda: self.described()["AutoMLJobStatus"] in OVER, 900)
        return self.described()


def test_a_number_is_a_regression_and_the_smallest_error_wins(server: LocalServer) -> None:
    job = Job(server, "y")
    ended = job.ended()
    assert ended["AutoMLJobStatus"] == "Completed", ended.get("FailureReason")
    assert ended["ResolvedAttributes"]["ProblemType"] == "Regression"
    best, *_ = job.candidates()
    assert ended["BestCandidate"]["CandidateName"] == best["CandidateName"] == f"{job.name}-linear"
    assert ended["BestCandidate"]["FinalAutoMLJobObjectiveMetric"]["Type"] == "Minimize"


def test_a_missing_column_fails_the_job_by_name(server: LocalServer) -> None:
    ended = Job(server, "weight").ended()
    assert ended["AutoMLJobStatus"] == "Failed"
    assert "has no column 'weight'; its header has x, y, colour" in ended["FailureReason"]


def test_a_stop_stops_the_candidates(server: LocalServer) -> None:
    job = Job(server, "colour", candidates=7)
    eventually(job.candidates)
    job.sagemaker.stop_auto_ml_job(AutoMLJobName=job.name)
    assert job.ended()["AutoMLJobStatus"] == "Stopped"
    assert {each["CandidateStatus"] for each in job.candidates()} <= {"Completed", "Stopped"}
    assert len(job.candidates()) < 7


def test_a_kill_repeats_no_candidate(start_server: Callable[..., LocalServer]) -> None:
    server = start_server("--jobs", "1")
    job = Job(server, "colour", candidates=3)
    eventually(lambda: [each for each in job.candidates() if each["CandidateStatus"] == "Completed"], 900)
    server.kill()
    server.start()
    assert job.ended()["AutoMLJobStatus"] == "Completed"
    names = [each["CandidateName"] for each in job.candidates()]
    assert sorted(names) == sorted(set(names))
    assert len(names) == 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"AutoMLJobConfig": {"Mode": "ENSEMBLING"}}, "Mode ENSEMBLING"),
        ({"GenerateCandidateDefinitionsOnly": True}, "GenerateCandidateDefinitionsOnly"),
        ({"AutoMLJobObjective": {"MetricName": "F1"}}, "needs ProblemType"),
        (
            {"AutoMLJobObjective": {"MetricName": "F1"}, "ProblemType": "Regression"},
            "objective F1 of Regression; choose one of MSE, RMSE, MAE, R2",
        ),
    ],
)
def test_what_is_not_served_is_refused_by_name(server: LocalServer, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words):
        Job(server, "y", **more)
