"""What a person sees when a program, its data or a model server is broken."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from demo import land
from demo.stack import BUCKET
from tests.digits_build import Built
from tests.running_stack import House, states


def test_a_training_script_that_raises_fails_the_task_with_its_reason(house: House) -> None:
    run = house.run("raising__model_build")
    assert run.state == "failed"
    found = states(run)
    assert found["train"] == "failed"
    assert {found[task] for task in ("evaluate", "compile", "register", "approve")} == {"upstream_failed"}
    log = house.log(run, "train")
    assert "ValueError: the learning rate is negative: -1" in house.logs(run, "train")
    assert "JobFailedError" in log
    # A bug is not worth another paid job.
    (job,) = house.sagemaker.list_training_jobs(NameContains="raising")["TrainingJobSummaries"]
    assert job["TrainingJobStatus"] == "Failed"
    described = house.sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])
    assert "AlgorithmError" in described["FailureReason"]
    assert job["TrainingJobName"] in log
    assert house.packages("raising") == []


@pytest.fixture
def spoilt_day(house: House) -> str:
    """One partition in which a digit is 17 and a pixel is missing from the scale."""
    day, body = next(iter(land.digits().items()))
    header, first, *rest = body.decode().splitlines()
    pixels = first.split(",")[1:]
    spoilt = "\n".join([header, ",".join(["17", "99", *pixels[1:]]), *rest]) + "\n"
    key = f"spoilt/raw/dt={day}/data.csv"
    house.s3.put_object(Bucket=BUCKET, Key=key, Body=spoilt.encode())
    return str(day)


def test_a_bad_partition_stops_at_the_gate_with_nothing_registered(house: House, spoilt_day: str) -> None:
    before = house.job_names()
    run = house.run("spoilt__model_build")
    assert run.state == "failed"
    found = states(run)
    assert found.pop("gate_raw") == "failed"
    assert set(found.values()) == {"upstream_failed"}
    log = house.log(run, "gate_raw")
    # The failed expectations are named, with what was found.
    assert "label" in log
    assert "17" in log
    assert "pixel_0" in log
    assert house.job_names() == before, "a job was paid for"
    assert house.packages("spoilt") == []


def test_a_bad_partition_is_never_published(house: House, spoilt_day: str) -> None:
    run = house.run("spoilt__nightly_batch_transform", conf={"partition": spoilt_day})
    assert run.state == "failed"
    assert states(run)["gate_raw"] == "failed"
    assert house.objects("spoilt/predictions/") == {}


def test_an_endpoint_that_never_answers_ping_fails_the_rollout(house: House, digits: Built) -> None:
    """A version that passed every bar and is approved, but whose server hangs while it loads."""
    arn = _register(house, digits, group="silent", image="digits-silent")
    run = house.run("silent__endpoint_rollout", conf={"model_package_arn": arn})
    assert run.state == "failed"
    found = states(run)
    assert found["roll_out"] == "failed"
    assert "live" not in {task for task, state in found.items() if state == "success"}
    log = house.log(run, "roll_out")
    assert "ping" in log.lower()
    with pytest.raises(ClientError, match=r"(?i)silent|not in service|could not find"):
        house.runtime.invoke_endpoint(EndpointName="silent", ContentType="text/csv", Body=b"0")


def test_a_rollout_that_fails_leaves_the_endpoint_on_its_old_version(house: House, digits: Built) -> None:
    before = house.sagemaker.describe_endpoint(EndpointName="digits")
    arn = _register(house, digits, group="fallback", image="digits-silent")
    run = house.run("digits__endpoint_rollout", conf={"model_package_arn": arn})
    assert run.state == "failed"
    after = house.sagemaker.describe_endpoint(EndpointName="digits")
    assert after["EndpointStatus"] == "InService"
    assert after["EndpointConfigName"] == before["EndpointConfigName"]
    zero = ",".join(land.digits()[land.DIGITS_FIRST_DAY].decode().splitlines()[1].split(",")[1:])
    answer = house.runtime.invoke_endpoint(EndpointName="digits", ContentType="text/csv", Body=zero.encode())
    assert answer["Body"].read().startswith(b"0,")


def _register(house: House, digits: Built, *, group: str, image: str) -> str:
    """An approved version of a model that works, to be served by an image that does not."""
    good = house.sagemaker.describe_model_package(
        ModelPackageName=digits.results["register"]["model_package_arn"]
    )["InferenceSpecification"]
    registry = good["Containers"][0]["Image"].partition("/")[0]
    container = {
        "Image": f"{registry}/{image}:latest",
        "ModelDataUrl": good["Containers"][0]["ModelDataUrl"],
    }
    house.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    arn: str = house.sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="Approved",
        InferenceSpecification=good | {"Containers": [container]},
    )["ModelPackageArn"]
    return arn
