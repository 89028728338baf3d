from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_sagemaker.triggers.progress import PUBLISH_INTERVAL_S, REFRESH_INTERVAL_S, Progress
from airflow_sagemaker.triggers.progress_store import TaskXCom

CREATED = datetime(2026, 11, 20, 10, tzinfo=UTC)
NOW_S = (CREATED + timedelta(seconds=90)).timestamp()


class Kept(TaskXCom):
    def __init__(self, value: Any = None) -> None:
        self.value, self.saves = value, 0

    async def load(self) -> Any:
        return self.value

    async def save(self, value: Any, limit_s: float = 0) -> bool:
        self.value, self.saves = value, self.saves + 1
        return True


def training(*transitions: tuple[str, str], status: str = "InProgress", **more: Any) -> dict[str, Any]:
    return {
        "TrainingJobStatus": status,
        "SecondaryStatus": transitions[-1][0] if transitions else "Starting",
        "CreationTime": CREATED,
        "SecondaryStatusTransitions": [
            {"Status": name, "StatusMessage": message, "StartTime": CREATED} for name, message in transitions
        ],
        **more,
    }


STARTING = ("Starting", "Preparing the instances for training")
TRAINING = ("Training", "Training image download completed. Training in progress.")


def test_each_transition_is_told_once_with_what_aws_says_of_it() -> None:
    progress = Progress("training_job")
    assert progress.note(training(STARTING)) == ["Starting: Preparing the instances for training"]
    assert progress.note(training(STARTING)) == []
    assert progress.note(training(("Starting", "Insufficient capacity, still trying"))) == [
        "Starting: Insufficient capacity, still trying"
    ]
    assert progress.note(training(STARTING, ("Downloading", ""), TRAINING)) == [
        "Downloading",
        f"Training: {TRAINING[1]}",
    ]


def test_the_end_says_how_long_it_took_what_is_billed_and_how_well_it_did() -> None:
    progress = Progress("training_job")
    progress.note(training(TRAINING))
    ended = training(
        TRAINING,
        ("Completed", "Training job completed"),
        status="Completed",
        TrainingEndTime=CREATED + timedelta(seconds=60),
        BillableTimeInSeconds=41,
        FinalMetricDataList=[{"MetricName": "accuracy", "Value": 0.97123}],
    )
    assert progress.note(ended, now_s=NOW_S) == [
        "Completed: Training job completed",
        "Completed after 60 s, 41 s billable",
        "Metrics: accuracy=0.97123",
    ]
    assert progress.note(ended, now_s=NOW_S) == []


@pytest.mark.parametrize(
    ("kind", "described", "lines", "billable_s"),
    [
        ("processing_job", {"ProcessingJobStatus": "InProgress"}, ["InProgress"], None),
        (
            "processing_job",
            {"ProcessingJobStatus": "InProgress", "ProcessingStartTime": CREATED + timedelta(seconds=30)},
            ["InProgress"],
            60,
        ),
        (
            "transform_job",
            {
                "TransformJobStatus": "Failed",
                "TransformStartTime": CREATED + timedelta(seconds=10),
                "TransformEndTime": CREATED + timedelta(seconds=30),
            },
            ["Failed after 30 s, 20 s billable"],
            20,
        ),
        (
            "compilation_job",
            {"CompilationJobStatus": "INPROGRESS", "CompilationStartTime": CREATED},
            ["INPROGRESS"],
            None,
        ),
    ],
)
def test_kinds_without_transitions_tell_their_status_and_their_time(
    kind: str, described: dict[str, Any], lines: list[str], billable_s: int | None
) -> None:
    progress = Progress(kind)
    assert progress.note({"CreationTime": CREATED, **described}, now_s=NOW_S) == lines
    assert progress._moments.times(NOW_S).get("billable_s") == billable_s


def test_metrics_are_found_in_the_jobs_own_lines() -> None:
    definitions = [
        {"Name": "loss", "Regex": r"loss: ([0-9.e-]+)"},
        {"Name": "epoch", "Regex": r"epoch (\d+)"},
        {"Name": "broken", "Regex": r"(?<n>x"},
        {"Name": "none", "Regex": r"loss: ([a-z]+)?"},
    ]
    progress = Progress("training_job", metric_definitions=definitions)
    for text in ("epoch 1 loss: 0.5", "nothing", "epoch 2 loss: 2e-3", "x" * 10_000 + "epoch 3"):
        progress.listen(text)
    assert progress.metrics == {"loss": 0.002, "epoch": 2.0}


async def test_the_record_is_published_when_there_is_something_new_and_seldom() -> None:
    kept = Kept()
    progress = Progress(
        "training_job", metric_definitions=[{"Name": "loss", "Regex": "loss=(.*)"}], store=kept
    )
    await progress.publish(now_s=0)
    assert kept.saves == 0
    progress.note(training(STARTING), now_s=NOW_S)
    await progress.publish(now_s=1)
    assert kept.value == {
        "status": "InProgress",
        "secondary": "Starting",
        "message": STARTING[1],
        "elapsed_s": kept.value["elapsed_s"],
        "transitions": 1,
        "metrics": {},
    }
    for second in range(2, 100):
        progress.listen(f"loss={second}")
        await progress.publish(now_s=second)
    assert kept.saves == 1 + int(99 // PUBLISH_INTERVAL_S)
    saves = kept.saves
    for second in range(100, 1000):
        await progress.publish(now_s=second)
    assert kept.value["metrics"] == {"loss": 99.0}
    assert kept.value["elapsed_s"] > 90
    assert kept.saves == saves + 1 + int(900 // REFRESH_INTERVAL_S) - 1


async def test_a_job_that_only_a_list_has_shown_has_a_record() -> None:
    kept = Kept()
    progress = Progress("processing_job", store=kept)
    progress.seen("InProgress")
    await progress.publish()
    assert (kept.value["status"], kept.value["metrics"]) == ("InProgress", {})


async def test_another_triggerer_does_not_tell_it_all_again() -> None:
    kept = Kept()
    first = Progress("training_job", store=kept)
    first.note(training(STARTING, TRAINING))
    await first.publish()
    second = Progress("training_job", store=kept)
    await second.resume()
    assert second.note(training(STARTING, TRAINING)) == []
    assert second.note(training(STARTING, TRAINING, ("Uploading", "Uploading generated training model"))) == [
        "Uploading: Uploading generated training model"
    ]
