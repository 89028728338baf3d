"""Processes are killed: the scheduler alone, and in a power cut everything at once while a job runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from demo import land, processes
from demo.runs import RunRecord
from tests.digits_build import Built
from tests.running_stack import House, states

DAG_ID = "interrupted__model_build"


def test_a_scheduler_that_dies_is_started_again(house: House, digits: Built) -> None:
    scheduler = house.stack.process_id("scheduler")
    os.kill(scheduler, signal.SIGKILL)
    run = house.run("digits__endpoint_rollout")
    assert run.state == "success", states(run)
    assert house.stack.process_id("scheduler") != scheduler


def test_after_a_power_cut_everything_is_there_and_the_run_goes_on(house: House, digits: Built) -> None:
    house.api.unpause(DAG_ID)
    run = RunRecord(DAG_ID, house.api.trigger(DAG_ID))
    job = _wait_for_training(house, run)

    house.stack.kill()
    home = house.stack.settings.home.resolve()
    assert processes.leftovers(home) == []
    house.stack.start_sagemaker()

    # Finished work is there, the endpoint comes back, and no job is in progress for ever.
    arn = digits.results["register"]["model_package_arn"]
    assert house.sagemaker.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"] == "Approved"
    assert house.read("digits/raw/dt=2026-01-01/data.csv") == land.digits()[land.DIGITS_FIRST_DAY]
    endpoint = digits.endpoint["endpoint_name"]
    house.sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )
    zero = ",".join(land.digits()[land.DIGITS_FIRST_DAY].decode().splitlines()[1].split(",")[1:])
    answer = house.runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=zero.encode())
    assert answer["Body"].read().startswith(b"0,")
    _eventually(lambda: _status(house, job) != "InProgress")
    cut = house.sagemaker.describe_training_job(TrainingJobName=job)
    assert cut["TrainingJobStatus"] == "Completed" or cut["FailureReason"]

    house.stack.start_airflow()
    ended = house.follow(run)
    assert ended.state == "success", states(ended)
    # What was done before is not done again, and a job that was lost is made once more, not twice.
    names = {name for name in house.job_names() if name.startswith("interrupted-model-build")}
    lost = cut["TrainingJobStatus"] == "Failed"
    assert len(names) == (6 if lost else 5), names
    assert len(house.packages("interrupted")) == 1


def _wait_for_training(house: House, run: RunRecord, *, timeout_s: float = 600) -> str:
    """Name of the run's training job once its program runs."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        # Airflow is not asked meanwhile: its answer may take longer than the job.
        jobs = house.sagemaker.list_training_jobs(NameContains="interrupted")["TrainingJobSummaries"]
        if jobs:
            name: str = jobs[0]["TrainingJobName"]
            described = house.sagemaker.describe_training_job(TrainingJobName=name)
            assert described["TrainingJobStatus"] == "InProgress", described
            if described["SecondaryStatus"] == "Training":
                return name
        house.stack.check()
        time.sleep(0.02)
    run.refresh(house.api)
    raise TimeoutError(f"no training job in {timeout_s} s: {states(run)}")


def _eventually(holds: Callable[[], bool], *, timeout_s: float = 300) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)


def _status(house: House, name: str) -> str:
    status: str = house.sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
    return status
