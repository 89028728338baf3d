"""AWS replaced at the hook of jobs, and the connection that leads there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_sagemaker.hooks.jobs import JobHook
from airflow_sagemaker.kinds import JobKind
from airflow_sagemaker.submission import NameTakenError
from tests.unit.plugins.airflow_sagemaker.operators.job_task import Jobs


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    seen = Jobs()

    def create(_: JobHook, kind: JobKind, request: Mapping[str, Any]) -> None:
        if seen.found:
            raise NameTakenError
        seen.created.append(request)

    def describe(_: JobHook, kind: JobKind, name: str) -> dict[str, Any]:
        return {"TrainingJobName": name, "TrainingJobArn": "arn:job", **(seen.found or {})}

    def tags(_: JobHook, arn: str) -> dict[str, str]:
        found: dict[str, str] = (seen.found or {}).get("tags", {})
        return found

    def stop(_: JobHook, kind: JobKind, name: str) -> bool:
        seen.stopped.append(name)
        return True

    monkeypatch.setattr(JobHook, "create", create)
    monkeypatch.setattr(JobHook, "describe", describe)
    monkeypatch.setattr(JobHook, "tags", tags)
    monkeypatch.setattr(JobHook, "stop", stop)
    return seen


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {
        "region_name": "us-east-1",
        "sagemaker": {
            "bucket": "data",
            "role_arn": "arn:aws:iam::123456789012:role/sagemaker",
            "poll_interval_s": 0.5,
        },
    }
    connection = {"conn_type": "aws", "login": "key-id", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps(connection))
