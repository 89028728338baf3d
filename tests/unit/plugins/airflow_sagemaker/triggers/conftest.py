"""AWS replaced at the seam where clients are made: a few training jobs that a test moves along by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from botocore.exceptions import ClientError

from airflow_sagemaker.hooks import async_clients

ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/job"


def refusal(code: str, message: str = "", status: int = 400) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "DescribeTrainingJob")


class Aws:
    """One account: its training and transform jobs, its endpoints, its calls.

    :ivar calls: every call by its name
    :ivar answers: operation or call → what it answers instead, one after the other; the last one stays
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.answers: dict[str, list[Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.clock_s = 1_000_000.0
        self.places: list[tuple[Any, ...]] = []
        self.on_call: Callable[[str], None] = lambda call: None

    def put(self, name: str, status: str, **more: Any) -> None:
        """Change a job, as its program or the service would."""
        self.clock_s += 1
        self.jobs[name] = {
            "TrainingJobName": name,
            "TrainingJobArn": ARN,
            "TrainingJobStatus": status,
            "LastModifiedTime": datetime.fromtimestamp(self.clock_s, UTC),
            **more,
        }

    def answer(self, call: str, *answers: Any) -> None:
        self.answers[call] = list(answers)

    def _next(self, call: str) -> Any:
        self.calls.append(call)
        self.on_call(call)
        planned = self.answers.get(call)
        if not planned:
            return None
        answer = planned.pop(0) if len(planned) > 1 else planned[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def describe_training_job(self, **request: str) -> dict[str, Any]:
        answer: dict[str, Any] | None = self._next("describe")
        name = next(iter(request.values()))
        if answer is None and name not in self.jobs:
            raise refusal("ValidationException", "Requested resource not found.")
        return answer or self.jobs[name]

    async def list_training_jobs(self, **request: Any) -> dict[str, Any]:
        sweep = "StatusEquals" in request
        self.requests.append(request)
        answer: dict[str, Any] | None = self._next("sweep" if sweep else "changes")
        if answer:
            return answer
        since = request.get("LastModifiedTimeAfter", datetime.fromtimestamp(0, UTC))
        found = [
            job
            for job in self.jobs.values()
            if job["LastModifiedTime"] >= since
            and request.get("StatusEquals") in (None, job["TrainingJobStatus"])
        ]
        start = int(request.get("NextToken", 0))
        page = found[start : start + request["MaxResults"]]
        date = datetime.fromtimestamp(self.clock_s, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        more = {"NextToken": str(start + len(page))} if start + len(page) < len(found) else {}
        return {
            "TrainingJobSummaries": page,
            "ResponseMetadata": {"HTTPHeaders": {"date": date}},
            **more,
        }

    async def list_transform_jobs(self, **request: Any) -> dict[str, Any]:
        self._next("sweep" if "StatusEquals" in request else "changes")
        return {"TransformJobSummaries": []}

    async def stop_training_job(self, **request: str) -> None:
        self._next("stop")
        self.stopped += request.values()

    describe_transform_job, stop_transform_job = describe_training_job, stop_training_job

    async def filter_log_events(self, **_: Any) -> dict[str, Any]:
        if answer := self.answers.get("logs"):
            raise answer[0]
        return {"events": []}

    def counted(self) -> dict[str, int]:
        return {call: self.calls.count(call) for call in sorted(set(self.calls))}


@pytest.fixture
def xcoms(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What tasks leave: key → value and address."""
    stored: dict[str, Any] = {}

    async def aset(key: str, value: Any, **where: Any) -> None:
        stored[key] = (value, where)

    async def aget_one(*, key: str, **_: Any) -> Any:
        return stored.get(key, (None,))[0]

    monkeypatch.setattr(BaseXCom, "aset", aset)
    monkeypatch.setattr(BaseXCom, "aget_one", aget_one)
    return stored


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The account behind every client; its connection names no queue."""
    account = Aws()

    @asynccontextmanager
    async def client() -> AsyncIterator[Aws]:
        yield account

    async def context(*place: Any) -> Any:
        account.places.append(place)
        return client()

    monkeypatch.setattr(async_clients, "_client_context", context)
    settings = {"bucket": "b", "role_arn": "arn:aws:iam::123456789012:role/r"}
    connection = {"conn_type": "aws", "extra": {"region_name": "us-east-1", "sagemaker": settings}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps(connection))
    return account
