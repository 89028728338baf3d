"""The digits family through a real scheduler, triggerer and workers, on real data."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from datetime import date, timedelta

import numpy as np
import pytest

from demo import aws, land, summary
from demo.chain import NIGHTLY, Chain
from demo.progress import Progress, Stage
from demo.runs import RunRecord, require_success
from tests.digits_build import Built
from tests.running_stack import House, csv_rows, states

FIRST, LAST = date(2026, 1, 1), date(2026, 1, 7)
ATTEMPTS = 5
WEEK = [str(FIRST + timedelta(days=day)) for day in range(7)]


def test_every_task_of_build_and_rollout_succeeds(digits: Built) -> None:
    assert set(states(digits.build).values()) == {"success"}
    rollout = states(digits.rollout)
    assert rollout.pop("revert") == "skipped"
    assert set(rollout.values()) == {"success"}


def test_model_reaches_its_figures(digits: Built) -> None:
    assert digits.evaluation["accuracy"] >= 0.95
    assert digits.evaluation["accuracy"] > digits.evaluation["baseline_accuracy"]
    assert digits.verification["max_abs_diff"] <= 1e-5
    assert digits.verification["rows"] == digits.evaluation["rows"] == 385
    assert digits.verification["original_p50_us"] / digits.verification["p50_us"] >= 5


def test_approval_rolled_out_the_version_that_was_built(house: House, digits: Built) -> None:
    arn = digits.results["register"]["model_package_arn"]
    assert digits.endpoint["model_package_arn"] == arn
    package = house.sagemaker.describe_model_package(ModelPackageName=arn)
    assert package["ModelApprovalStatus"] == "Approved"
    endpoint = house.sagemaker.describe_endpoint(EndpointName=digits.endpoint["endpoint_name"])
    assert endpoint["EndpointStatus"] == "InService"
    assert endpoint["EndpointConfigName"] == digits.endpoint["endpoint_config_name"]


def test_job_logs_end_up_in_the_task_log(house: House, digits: Built) -> None:
    group, job = "/aws/sagemaker/TrainingJobs", digits.results["train"]["job_name"]
    logs = aws.client("logs", house.stack.sagemaker_url)
    (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=job)["logStreams"]
    events = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )
    lines = [event["message"] for event in events["events"]]
    assert lines
    log = house.logs(digits.build, "train")
    assert [line for line in lines if line.strip() and line.strip() not in log] == []


def test_endpoint_answers_as_the_model_in_this_process(house: House, digits: Built) -> None:
    for day, raw in land.digits().items():
        body = "".join(",".join(row[1:]) + "\n" for row in csv_rows(raw)[1:])
        answer = house.runtime.invoke_endpoint(
            EndpointName=digits.endpoint["endpoint_name"], ContentType="text/csv", Body=body.encode()
        )
        _assert_rows(digits, str(day), answer["Body"].read())


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_line_of_the_summary_works(house: House, digits: Built) -> None:
    url = summary.endpoint_url(house.stack.sagemaker_url, digits.endpoint["endpoint_name"])
    command = shlex.split(summary.curl_line(url))
    done = subprocess.run(
        [*command, "--silent", "--noproxy", "*"], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.startswith("0,"), done.stdout + done.stderr


@pytest.fixture(scope="module")
def week(house: House, digits: Built) -> list[RunRecord]:
    """Seven days scored by the command that people use."""
    return _backfill(house)


def test_backfill_of_seven_days_is_all_green(week: list[RunRecord]) -> None:
    assert [run.state for run in week] == ["success"] * 7
    assert {state for run in week for state in states(run).values()} == {"success"}


def test_every_row_of_every_day_has_exactly_one_answer_in_order(
    house: House, digits: Built, week: list[RunRecord]
) -> None:
    for day in WEEK:
        predictions = house.read(f"digits/predictions/dt={day}/predictions.csv")
        _assert_rows(digits, day, predictions)
        manifest = json.loads(house.read(f"digits/predictions/dt={day}/manifest.json"))
        assert manifest["rows"] == len(csv_rows(predictions))
        assert manifest["model_package_arn"] == digits.results["register"]["model_package_arn"]


def test_second_backfill_changes_nothing(house: House, week: list[RunRecord]) -> None:
    before, jobs = house.objects("digits/"), house.job_names()
    again = _backfill(house, "--reprocess-behavior", "none")
    assert {run.run_id for run in again} == {run.run_id for run in week}
    assert house.objects("digits/") == before
    assert house.job_names() == jobs


def test_reprocessing_gives_byte_identical_outputs(house: House, week: list[RunRecord]) -> None:
    before, jobs = house.objects("digits/"), house.job_names()
    first_starts = {run.run_id: house.api.run(NIGHTLY, run.run_id)["start_date"] for run in week}
    again = _backfill(house, "--reprocess-behavior", "completed")
    require_success(house.api, again)
    # They did run again.
    for run in again:
        assert house.api.run(NIGHTLY, run.run_id)["start_date"] > first_starts[run.run_id]
    after = house.objects("digits/")
    assert {key: etag for key, (etag, _) in after.items() if "/predictions/" in key} == {
        key: etag for key, (etag, _) in before.items() if "/predictions/" in key
    }
    assert set(after) >= set(before)
    assert house.job_names() >= jobs


def test_new_builds_of_the_same_data_are_new_versions_of_the_same_model(house: House, digits: Built) -> None:
    """Backfills registered nothing: the only version is the one of the build."""
    packages = house.packages("digits")
    assert [package["ModelPackageArn"] for package in packages] == [
        digits.results["register"]["model_package_arn"]
    ]


def _backfill(house: House, *options: str) -> list[RunRecord]:
    """Run ``airflow backfill create`` for the week and follow its runs to their end."""
    chain = Chain(house.stack, Progress.silent())
    house.api.pause(NIGHTLY)  # see Chain.backfill
    for _ in range(ATTEMPTS):
        done = house.stack.airflow(
            "backfill", "create", "--dag-id", NIGHTLY, "--from-date", str(FIRST), "--to-date", str(LAST),
            "--max-active-runs", "3", *options,
        )  # fmt: skip
        if "database is locked" not in done.stderr:
            break
        # Airflow gives up at once where the scheduler writes to SQLite in the same moment.
        chain.cancel_backfills()
    assert done.returncode == 0, done.stdout + done.stderr
    house.api.unpause(NIGHTLY)
    runs = chain.backfill_runs(Stage("week"), FIRST, LAST)
    chain.cancel_backfills()  # all runs have ended; the scheduler would close it half a minute later
    return runs


def _assert_rows(digits: Built, day: str, body: bytes) -> None:
    labels, probabilities = digits.expected(day)
    rows = csv_rows(body)
    assert [int(float(row[0])) for row in rows] == labels, day
    given = np.array([[float(value) for value in row[1:]] for row in rows])
    np.testing.assert_allclose(given, probabilities, rtol=0, atol=1e-5, err_msg=day)
