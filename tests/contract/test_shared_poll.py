"""Airflow's own shared streams over a real local SageMaker: what waiting tasks ask, and survive."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid

from botocore.exceptions import ClientError

from airflow_sagemaker.triggers.endpoint import EndpointTrigger
from tests.contract.shared_poll_probe import (
    DEADLINE_S,
    IMAGE,
    ROLE,
    House,
    Triggerer,
    ends,
    fill,
    house,
    until,
    waits,
)

__all__ = ["house"]


async def test_many_tasks_ask_no_more_than_one(house: House) -> None:
    jobs = {
        "training_job": [house.train() for _ in range(10)],
        "processing_job": [house.process() for _ in range(10)],
        "hyper_parameter_tuning_job": [house.tune()],
    }
    house.faults()
    triggerer = Triggerer()
    fill(triggerer, jobs, each=10)
    # Ten looks of each of the three polls.
    await until(lambda: house.calls()["List*"] >= 40)
    house.faults()
    await until(lambda: house.calls()["List*"] >= 30)
    calls = house.calls()
    alone = 10 * len(triggerer.tasks)  # describe calls, had each asked for itself
    assert sum(calls.values()) < alone / 20, calls
    for kind, names in jobs.items():
        house.stop(kind, *names)
    assert await ends(triggerer) == {"stopped"}
    assert house.calls()["Stop*"] == 21


async def test_half_of_all_calls_throttled_and_a_restart_fail_no_task(house: House) -> None:
    jobs = {"training_job": [house.train("1"), house.train("5")], "processing_job": [house.process("1")]}
    half = {"service": "*", "error": "throttling", "probability": 0.5}
    house.faults(half)
    triggerer = Triggerer()
    fill(triggerer, jobs, each=5)
    long = house.train()
    fill(triggerer, {"training_job": [long]}, each=1)
    await until(lambda: house.calls()["List*"] > 6)
    house.server.kill()
    await asyncio.sleep(2)
    await asyncio.to_thread(house.server.start)
    house.faults(half)
    await until(lambda: sum(task.done() for task in triggerer.tasks.values()) >= 15)
    house.faults()
    with contextlib.suppress(ClientError):  # the server may have ended it when it was killed
        house.stop("training_job", long)
    payloads = await triggerer.payloads()
    assert {payload["end"] for payload in payloads} <= {"completed", "stopped", "failed"}


async def test_expired_credentials_end_every_wait_and_say_so(house: House) -> None:
    triggerer = Triggerer()
    fill(triggerer, {"training_job": [house.train()]}, each=5)
    house.faults()
    await until(lambda: house.calls()["List*"] > 3)
    house.faults({"service": "sagemaker", "error": "expired-token"})
    payloads = await triggerer.payloads()
    assert {(payload["end"], payload["error"]) for payload in payloads} == {("trouble", "AccessDeniedError")}


async def test_keys_that_were_replaced_in_the_connection_are_found(house: House) -> None:
    triggerer = Triggerer()
    job = house.train()
    fill(triggerer, {"training_job": [job]}, each=5)
    house.faults()
    await until(lambda: house.calls()["List*"] > 3)
    house.faults({"service": "sagemaker", "error": "expired-token", "count": 1})
    await until(lambda: house.calls()["List*"] > 3)
    house.stop("training_job", job)
    assert await ends(triggerer) == {"stopped"}


async def test_a_policy_without_list_makes_each_look_for_itself(house: House) -> None:
    job = house.train()
    house.faults({"service": "sagemaker", "operation": "List*", "error": "access-denied"})
    triggerer = Triggerer()
    fill(triggerer, {"training_job": [job]}, each=3)
    await until(lambda: house.calls()["Describe*"] > 9)
    house.stop("training_job", job)
    assert await ends(triggerer) == {"stopped"}


async def test_a_connection_that_leads_elsewhere_ends_the_wait_and_says_so(house: House) -> None:
    job = house.train()
    house.connect(region="eu-west-1")
    triggerer = Triggerer()
    fill(triggerer, {"training_job": [job]}, each=3)
    for payload in await triggerer.payloads():
        assert (payload["end"], payload["error"]) == ("trouble", "ConnectionSettingsError")
        assert "eu-west-1" in payload["reason"]
        assert "us-east-1" in payload["reason"]


async def test_the_deadline_stops_the_job_once(house: House) -> None:
    job = house.train()
    house.faults({"service": "sagemaker", "operation": "Stop*", "error": "throttling", "count": 2})
    triggerer = Triggerer()
    fill(triggerer, {"training_job": [job]}, each=1, deadline_s=time.time() - 1)
    assert await ends(triggerer) == {"timed_out"}
    assert house.calls()["Stop*"] == 1

    def ended() -> bool:
        described = house.sagemaker.describe_training_job(TrainingJobName=job)
        return bool(described["TrainingJobStatus"] == "Stopped")

    await until(ended)


async def test_a_kill_stops_the_job_whatever_the_api_says_meanwhile(house: House) -> None:
    job = house.train()
    house.faults({"service": "sagemaker", "error": "throttling", "count": 3})
    await waits("training_job", job).on_kill()
    assert house.calls()["Stop*"] == 1


async def test_another_triggerer_takes_over_and_late_comers_join(house: House) -> None:
    job = house.train()
    first = Triggerer()
    fill(first, {"training_job": [job]}, each=3)
    house.faults()
    await until(lambda: house.calls()["List*"] > 3)
    await first.leave()
    assert house.calls()["Stop*"] == 0
    second = Triggerer()
    fill(second, {"training_job": [job]}, each=3)
    before = house.calls()["List*"]
    await until(lambda: house.calls()["List*"] > before + 3)
    house.stop("training_job", job)
    await until(lambda: any(task.done() for task in second.tasks.values()))
    second.start("late", waits("training_job", job))
    assert await ends(second) == {"stopped"}


async def test_an_endpoint_is_waited_for_like_a_job(house: House) -> None:
    name = f"e-{uuid.uuid4().hex[:12]}"
    house.sagemaker.create_model(
        ModelName=name, PrimaryContainer={"Image": IMAGE, "Environment": {}}, ExecutionRoleArn=ROLE
    )
    variant = {"VariantName": "all", "ModelName": name, "InitialInstanceCount": 1}
    house.sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[{**variant, "InstanceType": "ml.m5.large"}]
    )
    house.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    triggerer = Triggerer()
    for wanted in (name, "another"):
        trigger = EndpointTrigger(
            endpoint_name=name,
            wanted_config=wanted,
            results={},
            phase="serve",
            limit_s=600,
            aws_conn_id="aws_sagemaker",
            region_name=None,
            poll_interval_s=0.5,
            deadline_s=time.time() + DEADLINE_S,
        )
        triggerer.start(wanted, trigger)
    assert [payload["end"] for payload in await triggerer.payloads()] == ["completed", "settled"]
