"""A transform job, its model server a stand-in: what its log and its record say of how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sagemaker_local.serving import transform, transform_progress
from sagemaker_local.serving.http import Answer
from sagemaker_local.store import Record

ROWS, FILES = 30, 3
LOOKS = (1, 45, 89)
"""After so many rows the model waits until somebody has seen how far the job is."""


class SlowServer:
    """Answers payloads with as many lines."""

    pid = None
    answered = 0
    noted: list[str]

    def __init__(self, container: Any, work: Any, **parts: Any) -> None:
        pass

    async def start(self) -> None:
        pass

    async def stop(self, grace_s: float) -> None:
        pass

    @contextmanager
    def use(self) -> Iterator[SlowServer]:
        yield self

    async def request(
        self, method: str, path: str, headers: Any, body: bytes, *, timeout_s: float, sink: Any = None,
        keep: bool = True,
    ) -> Answer:  # fmt: skip
        if method == "GET":
            return Answer(404)
        while SlowServer.answered in LOOKS and not seen(SlowServer.answered, SlowServer.noted):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        SlowServer.answered += body.count(b"\n")
        sink(b"1\n" * body.count(b"\n"))
        return Answer(200)


def seen(rows: int, lines: list[str]) -> bool:
    return any(line.startswith(f"{rows} rows, ") for line in lines)


@pytest.fixture
def slow(jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.store.insert(
        Record("model", "model", "arn:model", {"PrimaryContainer": {"Image": "any"}, "ModelName": "model"})
    )
    monkeypatch.setattr(SlowServer, "answered", 0)
    monkeypatch.setattr(SlowServer, "noted", [], raising=False)
    monkeypatch.setattr(transform, "ModelServer", SlowServer)
    monkeypatch.setattr(transform, "resolve", lambda store, model: Container())
    monkeypatch.setattr(transform_progress, "FIRST_S", 0.05)


class Container:
    others = ()
    multi_model = False


async def test_a_job_says_how_far_it_is_and_what_came_of_it(jobs: Any, slow: None) -> None:
    for number in range(FILES):
        jobs.put(f"in/{number}.csv", b"1,2,3\n" * ROWS)
    noted = SlowServer.noted
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in"}}
    await jobs.call(
        "CreateTransformJob",
        TransformJobName="b1",
        ModelName="model",
        BatchStrategy="SingleRecord",
        MaxConcurrentTransforms=1,
        TransformInput={"DataSource": source, "SplitType": "Line"},
        TransformOutput={"S3OutputPath": "s3://bucket/out"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )

    def completed(document: dict[str, Any]) -> bool:
        noted.append(jobs.store.get("transform_job", "b1").private.get("progress", ""))
        return document["TransformJobStatus"] in ("Completed", "Failed")

    document = await jobs.until("transform_job", "b1", completed)
    assert document["TransformJobStatus"] == "Completed", document
    said = [line for line in jobs.lines("transform_job", "b1") if line.startswith(transform_progress.PREFIX)]
    *under_way, last = (line.removeprefix(transform_progress.PREFIX) for line in said)
    rows = [int(line.partition(" rows, ")[0]) for line in under_way]
    assert set(LOOKS) <= set(rows)
    assert rows == sorted(rows)
    assert rows[-1] <= ROWS * FILES
    assert all(" of 3 objects in " in line and " rows/s" in line for line in under_way)
    assert last.startswith("3 of 3 objects, 90 rows, 0.0 MB in, 0.0 MB out in ")
    assert set(filter(None, noted)) <= set(under_way)
