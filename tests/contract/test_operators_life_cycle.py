"""The life cycle of the plugin's jobs against the local SageMaker: each checks the other's reading of AWS."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from airflow_sagemaker.errors import ForeignResourceError
from airflow_sagemaker.hooks.endpoints import EndpointHook
from airflow_sagemaker.hooks.models import ModelHook
from airflow_sagemaker.hooks.object_storage import ObjectStorageHook
from airflow_sagemaker.hooks.registry import RegistryHook
from airflow_sagemaker.kinds import TRAINING
from airflow_sagemaker.policies import failure
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.endpoint import EndpointRollout
from airflow_sagemaker.specs.model import ModelPackage
from airflow_sagemaker.specs.processing import ProcessingJob, ProcessingOutput
from airflow_sagemaker.specs.transform import TransformJob
from airflow_sagemaker.triggers.endpoint import EndpointTrigger
from tests.contract.operators_probe import LIMIT_S, Task, fired, local, training

__all__ = ["local"]

LOG = logging.getLogger("test")


def test_a_job_is_made_once_found_again_and_told_line_by_line(local: Any) -> None:
    task = Task()
    first = task.submit(training(lines=2500))
    assert task.submit(training(lines=2500)).name == first.name
    ended = task.wait(first.name)
    assert ended["end"] == "completed"
    assert ended["results"]["model_uri"] == f"s3://data/out/{first.name}/output/model.tar.gz"
    assert set(ended["results"]["metrics"]) == {"acc"}
    told = [line for line in task.lines if line.startswith("[algo-1] line")]
    assert told == [f"[algo-1] line {number} acc=0.{number}" for number in range(2500)]
    again = task.submit(training(lines=2500))
    assert again.adopted
    assert again.completed is not None
    assert len(task.hook.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]) == 1


def test_a_failed_job_says_why_and_the_next_try_has_its_own_name(local: Any) -> None:
    task = Task()
    first = task.submit(training(fail="the learning rate is negative"))
    ended = task.wait(first.name)
    assert ended["end"] == "failed"
    assert type(failure("x", ended["reason"])).__name__ == "JobFailedError"
    assert any("the learning rate is negative" in line for line in task.lines)
    assert task.submit(training(fail="the learning rate is negative")).name == f"{first.name}-r1"


def test_a_kill_stops_the_job_and_a_clear_runs_it_anew(local: Any) -> None:
    task = Task()
    first = task.submit(training(pause_s=60))
    asyncio.run(task.trigger(first.name).on_kill())
    assert task.wait(first.name)["end"] == "stopped"
    asyncio.run(task.trigger(first.name).on_kill())
    second = task.submit(training(pause_s=60), max_tries=1)
    assert second.name == f"{first.name}-r1"
    third = task.submit(training(pause_s=60), max_tries=2)
    assert third.name == f"{first.name}-r2"
    assert task.wait(second.name)["end"] == "stopped"
    task.jobs.stop(TRAINING, third.name)


def test_a_job_of_our_name_that_somebody_else_made_is_refused(local: Any) -> None:
    task = Task()
    mine = task.submission()
    local.client("sagemaker").create_training_job(TrainingJobName=mine.name(0), **training())
    with pytest.raises(ForeignResourceError, match=mine.name(0)):
        task.submit(training())


def test_from_rows_to_an_endpoint_and_predictions(local: Any) -> None:
    process = Task("processing_job")
    wanted = ProcessingOutput(name="rows", path="/opt/ml/processing/output", destination="rows/")
    body = ProcessingJob(image="sums", entrypoint=("process",), outputs=(wanted,)).to_request(process.hook)
    outputs = process.wait(process.submit(body).name)["results"]["outputs"]
    assert outputs == {"rows": "s3://data/rows/"}

    train = Task()
    model_uri = train.wait(train.submit(training()).name)["results"]["model_uri"]
    registry = RegistryHook(train.hook)
    package = ModelPackage(group="sums", image="sums", model_uri=model_uri)
    version = registry.register(package, train.identity, train.store, LOG)
    assert registry.register(package, train.identity, train.store, LOG) == version
    registry.set_approval(version["model_package_arn"], "Approved", "it adds up")

    transform = Task("transform_job")
    job = TransformJob(
        model_package_arn=version["model_package_arn"], source=outputs["rows"], destination="sums/"
    )
    models = ModelHook(transform.hook)
    rollout = EndpointRollout(endpoint_name="sums", model_package_arn=version["model_package_arn"])
    body = job.to_request(transform.hook, models.ensure_model(rollout.to_model()))
    assert transform.wait(transform.submit(body).name)["end"] == "completed"
    assert ObjectStorageHook(sagemaker=transform.hook).read_text("sums/rows.csv.out") == "3.0\n7.0\n11.0\n"

    endpoint = EndpointHook(train.hook, "sums")
    good = roll_out(endpoint, models, rollout)
    assert good["end"] == "completed"
    assert endpoint.invoke(b"20,22\n", "text/csv", "text/csv") == ("AllTraffic", b"42.0\n")
    bad = roll_out(endpoint, models, rollout.model_copy(update={"environment": {"BROKEN": "1"}}))
    assert (bad["end"], bad["status"]) == ("settled", "InService")
    assert bad["config"] == good["wanted"]["endpoint_config_name"]
    assert bad["reason"]
    assert endpoint.invoke(b"20,22\n", "text/csv", "text/csv") == ("AllTraffic", b"42.0\n")


def roll_out(endpoint: EndpointHook, models: ModelHook, rollout: EndpointRollout) -> JsonObject:
    config = models.ensure_endpoint_config(rollout, models.ensure_model(rollout.to_model()))
    if endpoint.describe() is None:
        endpoint.create(config, {})
    else:
        endpoint.update(config)
    trigger = EndpointTrigger(
        endpoint_name=rollout.endpoint_name,
        wanted_config=config,
        results={"endpoint_name": rollout.endpoint_name, "endpoint_config_name": config},
        phase="serve",
        limit_s=int(LIMIT_S),
        aws_conn_id="aws_sagemaker",
        region_name=None,
        poll_interval_s=0.2,
        deadline_s=time.time() + LIMIT_S,
    )
    return asyncio.run(fired(trigger))
