"""The life of transform jobs; how objects are fed is tested with serving/transform.py."""

import asyncio

import pytest

from sagemaker_local.errors import ValidationException
from sagemaker_local.jobs import transform
from sagemaker_local.jobs.kinds import KINDS
from sagemaker_local.serving.transform_feed import TransformError
from sagemaker_local.status import snapshot
from sagemaker_local.store import Record


@pytest.fixture
def feed(jobs, monkeypatch):
    """Put a coroutine function in place of the feeding."""
    jobs.store.insert(Record("model", "model", "arn:model", {}))
    return lambda function: monkeypatch.setattr(transform, "run_transform", function)


async def create(jobs, **more):
    request = {
        "TransformJobName": "b1",
        "ModelName": "model",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in"}}
        },
        "TransformOutput": {"S3OutputPath": "s3://bucket/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    await jobs.call("CreateTransformJob", **(request | more))


async def test_a_job_that_is_fed_completes(jobs, feed):
    async def fed(*, record, log, **parts):
        log(f"feeding {record.name} from {record.document['TransformInput']['SplitType']}")

    feed(fed)
    await create(jobs)
    document = await jobs.ended("transform_job", "b1")
    assert document["TransformJobStatus"] == "Completed"
    assert document["CreationTime"] <= document["TransformStartTime"] <= document["TransformEndTime"]
    assert "LastModifiedTime" not in document
    assert jobs.lines("transform_job", "b1") == ["feeding b1 from None"]


async def test_the_reason_of_a_failed_feeding_is_the_jobs(jobs, feed):
    async def fails(**parts):
        raise TransformError("ClientError: row 3 is broken")

    feed(fails)
    await create(jobs)
    document = await jobs.ended("transform_job", "b1")
    assert (document["TransformJobStatus"], document["FailureReason"]) == (
        "Failed",
        "ClientError: row 3 is broken",
    )


async def test_a_stop_ends_the_feeding_before_the_job_is_stopped(jobs, feed):
    order = []

    async def feeds_for_ever(log, **parts):
        log("feeding")
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.05)
            order.append("cleaned up")

    feed(feeds_for_ever)
    await create(jobs)
    await jobs.printed("transform_job", "b1", "feeding")
    await jobs.call("StopTransformJob", TransformJobName="b1")
    assert (await jobs.ended("transform_job", "b1"))["TransformJobStatus"] == "Stopped"
    assert order == ["cleaned up"]


async def test_a_model_that_is_not_there_is_refused_at_once(jobs, feed):
    with pytest.raises(ValidationException, match=r'Could not find model "arn:.*model/nothing"'):
        await create(jobs, ModelName="nothing")


async def test_how_far_it_is_stands_on_the_status_page_while_it_runs(jobs, feed):
    async def fed(*, noted, log, **parts):
        noted("300 rows in 5 s")
        log("noted")
        await asyncio.sleep(600)

    feed(fed)
    await create(jobs)
    await jobs.printed("transform_job", "b1", "noted")
    record = jobs.store.get("transform_job", "b1")
    assert snapshot._job(KINDS["transform_job"], record)["step"] == "300 rows in 5 s"
    await jobs.call("StopTransformJob", TransformJobName="b1")
    await jobs.ended("transform_job", "b1")
    record = jobs.store.get("transform_job", "b1")
    assert snapshot._job(KINDS["transform_job"], record)["step"] == ""
