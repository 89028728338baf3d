"""Jobs against moto's SageMaker, by the real SDK."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.errors import RequestRejectedError, UnreachableError
from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.kinds import PROCESSING, TRAINING, End
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.training import TrainingJob
from airflow_sagemaker.submission import NameTakenError


@pytest.fixture
def jobs(moto_connection: str) -> JobHook:
    return JobHook(SageMakerHook())


@pytest.fixture
def sdk_jobs(jobs: JobHook) -> JobHook:
    hook = jobs.sagemaker
    hook.__dict__["settings"] = hook.settings.model_copy(update={"create_with_sdk": True})
    return jobs


def training(jobs: JobHook, name: str = "job") -> JsonObject:
    body = TrainingJob(image="digits", output="o/").to_request(jobs.sagemaker)
    return {"TrainingJobName": name, **body, "Tags": [{"Key": "airflow:owner", "Value": "me"}]}


def test_a_created_job_is_there_with_its_tags(jobs: JobHook) -> None:
    jobs.create(TRAINING, training(jobs))
    described = jobs.describe(TRAINING, "job")
    assert described is not None
    assert TRAINING.end(described) is End.COMPLETED  # moto's jobs are born so
    assert jobs.tags(described["TrainingJobArn"]) == {"airflow:owner": "me"}


def test_a_name_in_use_is_an_answer(jobs: JobHook) -> None:
    """As AWS answers; moto makes a second job under the name instead."""

    def refuse(**_: Any) -> tuple[Any, JsonObject]:
        error = {"Code": "ResourceInUse", "Message": "Job name must be unique within an AWS account"}
        return SimpleNamespace(status_code=400), {
            "Error": error,
            "ResponseMetadata": {"HTTPStatusCode": 400},
        }

    answer: Any = refuse
    jobs.sagemaker.session.events.register("before-call.sagemaker.CreateTrainingJob", answer)
    with pytest.raises(NameTakenError, match="TrainingJob 'job'"):
        jobs.create(TRAINING, training(jobs))


@pytest.mark.parametrize("kind", [TRAINING, PROCESSING], ids=lambda kind: str(kind.noun))
def test_a_job_that_is_not_there_is_none(jobs: JobHook, kind: object) -> None:
    assert jobs.describe(kind, "nowhere") is None  # type: ignore[arg-type]


def test_a_request_that_the_api_model_refuses_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_SAGEMAKER",
        '{"conn_type": "aws", "extra": {"region_name": "us-east-1", "endpoint_url": "http://127.0.0.1:9"}}',
    )
    with pytest.raises(RequestRejectedError, match='Missing required parameter in input: "RoleArn"'):
        JobHook(SageMakerHook()).create(TRAINING, {"TrainingJobName": "job"})


def test_an_endpoint_that_does_not_answer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_SAGEMAKER",
        '{"conn_type": "aws", "login": "key-id", "password": "secret", "extra": {"region_name": "us-east-1", '
        '"endpoint_url": "http://127.0.0.1:9", "config_kwargs": {"retries": {"total_max_attempts": 1}}}}',
    )
    with pytest.raises(UnreachableError, match=r"Training job 'job': .*127\.0\.0\.1:9"):
        JobHook(SageMakerHook()).describe(TRAINING, "job")


def test_a_job_is_made_by_one_call_and_without_the_sdk(jobs: JobHook) -> None:
    called: list[str] = []
    jobs.sagemaker.client("sagemaker").meta.events.register(
        "before-call.sagemaker", lambda model, **_: called.append(model.name)
    )
    jobs.create(TRAINING, training(jobs))
    assert called == ["CreateTrainingJob"]


def test_the_sdk_makes_the_very_same_job(sdk_jobs: JobHook) -> None:
    sdk_jobs.create(TRAINING, training(sdk_jobs))
    described = sdk_jobs.describe(TRAINING, "job")
    assert described is not None
    assert sdk_jobs.tags(described["TrainingJobArn"]) == {"airflow:owner": "me"}


def test_a_job_that_aws_accepted_is_created_whatever_the_sdk_does_next(sdk_jobs: JobHook) -> None:
    """The SDK describes what it has created; throttling there must not fail a task whose job runs."""

    def throttle(**_: Any) -> tuple[Any, JsonObject]:
        error = {"Code": "AccessDeniedException", "Message": "not authorized to DescribeTrainingJob"}
        return SimpleNamespace(status_code=400), {
            "Error": error,
            "ResponseMetadata": {"HTTPStatusCode": 400},
        }

    answer: Any = throttle
    sdk_jobs.sagemaker.session.events.register("before-call.sagemaker.DescribeTrainingJob", answer)
    sdk_jobs.create(TRAINING, training(sdk_jobs))
    elsewhere = JobHook(SageMakerHook())
    assert elsewhere.describe(TRAINING, "job") is not None
