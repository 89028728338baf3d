"""SageMaker's SDK 3: ModelTrainer, HyperparameterTuner and the processors."""

from __future__ import annotations

import io
import tarfile
import uuid

import pytest

from tests.contract.sdk_v3.conftest import BUCKET, SdkError


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def content(local, uri):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return local.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


def test_own_code_is_trained_on_a_local_file(sdk, local):
    job = sdk("training.train", base=unique("train"))
    assert job["status"] == "Completed"
    with tarfile.open(fileobj=io.BytesIO(content(local, job["model"]))) as archive:
        model = archive.extractfile("model.txt")
        assert model is not None
        assert model.read() == b"3:1,2\n"
    events = local.client("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=job["name"]
    )["events"]
    assert any("trained 3 epochs" in event["message"] for event in events)


def test_failing_code_is_told(sdk):
    with pytest.raises(SdkError, match=r"(?s)FailedStatusError.*all is lost.*exit code: 3"):
        sdk("training.fail", base=unique("fail"))


def test_a_random_search(sdk):
    found = sdk("training.tune", base=unique("random"), strategy="Random", max_jobs=3, random_seed=3)
    assert (found["status"], found["completed"]) == ("Completed", 3)
    assert found["values"].keys() == {"rate", "depth"}
    assert found["best"]


def test_a_grid_search(sdk):
    found = sdk("training.tune", base=unique("grid"), strategy="Grid")
    assert (found["status"], found["completed"]) == ("Completed", 2)
    assert found["values"] == {"rate": "0.2", "kind": "a"}


def test_a_search_with_a_script_in_a_framework_image(sdk):
    found = sdk("training.tune_script", base=unique("script"))
    assert found["loss"] == pytest.approx(abs(float(found["rate"]) - 0.3), abs=1e-5)


def test_the_sdks_default_strategy_is_refused_by_name(sdk):
    with pytest.raises(SdkError, match=r"ValidationException.*the Bayesian strategy"):
        sdk("training.tune", base=unique("bayes"), strategy="Bayesian", max_jobs=2)


def test_a_script_is_run(sdk, local):
    output = f"s3://{BUCKET}/{unique('script')}"
    assert sdk("processing.run_script", output=output) == "Completed"
    assert content(local, f"{output}/joined.txt") == b"1,2\na b"


def test_a_folder_of_code_is_run(sdk, local):
    output = f"s3://{BUCKET}/{unique('framework')}"
    assert sdk("processing.run_framework", output=output) == "Completed"
    assert content(local, f"{output}/joined.txt") == b"5,6\nc"
