"""Instances that are lost: spot interruptions, retries, capacity; and checkpoints that outlive them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import LocalServer
from tests.contract.training_probe import BUCKET, IMAGES, Training, unique, until

SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 300, "MaxWaitTimeInSeconds": 600},
}
RESUMING = """
    step = base / "checkpoints/step"
    if step.exists():
        say(resumed=step.read_text())
        save("model/step", step.read_text())
    else:
        on_sigterm(lambda: save("checkpoints/step", "at the interruption"))
        save("checkpoints/step", "before")
        say(started=True)
        while True:
            time.sleep(1)
"""


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Training]:
    data = tmp_path_factory.mktemp("spot") / "data"
    server = LocalServer(data, IMAGES, "--stop-grace-s", "20").start()
    yield Training(server)
    server.stop()


@pytest.fixture(autouse=True)
def no_faults_left(training: Training) -> Iterator[None]:
    yield
    training.faults()


def steps(training: Training, name: str) -> list[str]:
    return [step["Status"] for step in training.job(name)["SecondaryStatusTransitions"]]


def checkpoints() -> dict[str, str]:
    return {"S3Uri": f"s3://{BUCKET}/{unique('checkpoints')}"}


def test_an_interrupted_job_goes_on_from_its_checkpoint(training):
    # Long enough for the program to begin and to know of SIGTERM, on a busy machine too.
    training.faults({"fault": "spot", "after_s": 8, "count": 1})
    name = training.train(RESUMING, CheckpointConfig=checkpoints(), **SPOT)
    job = training.ended(name)
    assert job["TrainingJobStatus"] == "Completed", training.said(name)
    assert steps(training, name) == [
        "Starting", "Downloading", "Training", "Interrupted", "Starting", "Downloading", "Training",
        "Uploading", "Completed",
    ]  # fmt: skip
    assert training.told(name)["algo-1"]["resumed"] == "at the interruption"
    assert training.model(name) == {"step": b"at the interruption"}
    assert job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"]
    transitions = job["SecondaryStatusTransitions"]
    assert all(earlier["EndTime"] <= later["StartTime"] for earlier, later in itertools.pairwise(transitions))


def test_a_job_on_demand_is_not_interrupted(training):
    training.faults({"fault": "spot", "after_s": 0})
    name = training.train("time.sleep(0.5)")
    assert training.ended(name)["TrainingJobStatus"] == "Completed"
    assert "Interrupted" not in steps(training, name)


def test_waiting_too_long_ends_a_spot_job(training):
    training.faults({"fault": "spot", "after_s": 0.2})
    condition = {"MaxRuntimeInSeconds": 10, "MaxWaitTimeInSeconds": 10}
    name = training.train("time.sleep(600)", EnableManagedSpotTraining=True, StoppingCondition=condition)
    job = training.ended(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert steps(training, name).count("Interrupted") > 1


def test_a_job_can_be_stopped_between_interruptions(training):
    training.faults({"fault": "spot", "after_s": 0.1})
    name = training.train("time.sleep(600)", **SPOT)
    until(lambda: steps(training, name).count("Interrupted") > 1)
    training.sagemaker.stop_training_job(TrainingJobName=name)
    assert training.ended(name)["TrainingJobStatus"] == "Stopped"


def test_a_lost_instance_is_an_internal_error_and_tried_again_as_often_as_asked(training):
    training.faults({"fault": "die", "after_s": 0, "count": 2})
    name = training.train("pass", RetryStrategy={"MaximumRetryAttempts": 2})
    assert training.ended(name)["TrainingJobStatus"] == "Completed"
    assert steps(training, name).count("Restarting") == 2

    training.faults({"fault": "die", "after_s": 0.1})
    name = training.train("time.sleep(600)", RetryStrategy={"MaximumRetryAttempts": 1})
    job = training.ended(name)
    assert job["FailureReason"].startswith("InternalServerError: We encountered an internal error")
    assert steps(training, name).count("Restarting") == 1


def test_no_capacity_fails_a_job_of_each_kind_with_awss_words(training):
    training.faults({"fault": "capacity"})
    trained = training.ended(training.train("pass"))
    processed = training.processed(training.process("pass"))
    for job in (trained, processed):
        assert job["FailureReason"].startswith("CapacityError: Unable to provision requested ML compute")
    assert "TrainingStartTime" not in trained


def test_a_failed_service_is_tried_again_after_its_restart(training):
    name = training.train(RESUMING, CheckpointConfig=checkpoints(), RetryStrategy={"MaximumRetryAttempts": 1})
    prefix = training.job(name)["CheckpointConfig"]["S3Uri"].removeprefix(f"s3://{BUCKET}/")
    until(lambda: training.keys(prefix))
    training.server.kill()
    training.server.start()
    training.connect()
    job = training.ended(name)
    assert job["TrainingJobStatus"] == "Completed", training.said(name)
    assert "Restarting" in steps(training, name)
    assert training.told(name)["algo-1"]["resumed"] == "before"


def test_checkpoints_appear_while_the_job_runs_and_never_half(training):
    where = checkpoints()
    prefix = where["S3Uri"].removeprefix(f"s3://{BUCKET}/")
    name = training.train(
        """
        save("checkpoints/1/weights", "x" * 1000)
        started = time.monotonic()
        with open(base / "checkpoints/growing", "w") as file:
            while True:
                file.write("part of it\\n")
                file.flush()
                time.sleep(0.02)
                if time.monotonic() > started + 2.5:
                    started += 1000
                    save("checkpoints/2/weights", "y")
        """,
        CheckpointConfig=where,
    )
    whole = [f"{prefix}/1/weights", f"{prefix}/2/weights"]
    until(lambda: whole[1] in training.keys(prefix))
    assert training.job(name)["TrainingJobStatus"] == "InProgress"
    assert training.get(f"{prefix}/1/weights") == b"x" * 1000
    assert training.keys(prefix) == whole, "a file that still grows is not a checkpoint"
    training.sagemaker.stop_training_job(TrainingJobName=name)
    assert training.ended(name)["TrainingJobStatus"] == "Stopped"
    assert training.keys(prefix) == whole, "nor one that its program was killed at"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds. It must be present"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 5, "MaxWaitTimeInSeconds": 6}},
            "Invalid MaxWaitTimeInSeconds. It must not be present",
        ),
    ],
)
def test_waiting_belongs_to_spot_jobs(training, change, text):
    with pytest.raises(ClientError, match=text):
        training.train("pass", **change)
