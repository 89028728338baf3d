"""The chain of the demo: build a model, let its approval roll it out, score partitions, check the answers."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from demo import aws, land
from demo.airflow_api import AirflowApi, AirflowApiError
from demo.progress import Progress, Stage
from demo.runs import RunRecord, follow, require_success
from demo.stack import BUCKET, Stack

PIPELINE = "digits"
BUILD = f"{PIPELINE}__model_build"
ROLLOUT = f"{PIPELINE}__endpoint_rollout"
NIGHTLY = f"{PIPELINE}__nightly_batch_transform"
SCORED_DAYS = (date(2026, 1, 12), date(2026, 1, 13), date(2026, 1, 14))
"""The three days that no model was trained on."""

RUN_TIMEOUT_S = 900
START_TIMEOUT_S = 180
"""How long the scheduler may take to make a run; a busy machine needs most of a minute."""
ROWS_PER_REQUEST = 100
BACKFILL_ATTEMPTS = 10
PASSING_TROUBLE = (
    "Database is locked",  # SQLite gives up at once where the scheduler writes in the same moment,
    "Database error",  # which only some of the API's answers say in so many words
    "already a running backfill",  # Airflow answers a cancellation before it has committed it
    "Backfill not found",  # it took back one that it could not finish, between two of our calls
)
CLOSED_MEANWHILE = ("Backfill is already completed", "Backfill not found")


class DemoError(Exception):
    """The chain ran, but its results are not what they have to be."""


@dataclass(slots=True)
class Answers:
    """What the endpoint said about every row of the scored days, beside the nightly batch and the truth."""

    labels: list[int] = field(default_factory=list)
    batch: list[int] = field(default_factory=list)
    truth: list[int] = field(default_factory=list)
    images: list[list[int]] = field(default_factory=list)
    different: int = 0

    @property
    def checked(self) -> int:
        """Rows compared."""
        return len(self.labels)


@dataclass(slots=True)
class ChainResult:
    """What one pass of the chain came to."""

    started_at: datetime
    ended_at: datetime
    runs: list[RunRecord]
    model_package_arn: str
    evaluation: dict[str, float]
    verification: dict[str, float]
    endpoint_name: str
    answers: Answers
    rows_in: int
    rows_out: int
    jobs: dict[tuple[str, str, str], str]


class Chain:
    """One pass over a running stack."""

    def __init__(self, stack: Stack, progress: Progress) -> None:
        self.stack = stack
        self.api: AirflowApi = stack.api
        self.progress = progress
        self.s3 = aws.client("s3", stack.sagemaker_url)
        self.runtime = aws.client("sagemaker-runtime", stack.sagemaker_url)

    def land(self) -> None:
        """Put the raw data where the chain finds it; needs the local SageMaker alone."""
        with self.progress.stage("Land the data") as stage:
            partitions = land.digits()
            written = land.land(self.s3, BUCKET, PIPELINE, partitions)
            stage.detail = f"{len(partitions)} daily partitions, {written} written"

    def run(self) -> ChainResult:
        """Build, roll out and score side by side, check."""
        with self.progress.stage("DAGs parsed"):
            self.stack.wait_for_dags({BUILD, ROLLOUT, NIGHTLY})
        started_at = datetime.now(UTC)
        build, evaluation, verification = self._build()
        rollout, endpoint, nights = self._roll_out_and_score(build)
        ended_at = datetime.now(UTC)
        runs = [build, rollout, *nights]
        with self.progress.stage("Check every prediction") as stage:
            answers, rows_in, rows_out = self._check(str(endpoint["endpoint_name"]))
            stage.detail = (
                f"{answers.checked} asked of the endpoint, {answers.different} differ from the batch"
            )
        return ChainResult(
            started_at=started_at,
            ended_at=ended_at,
            runs=runs,
            model_package_arn=str(endpoint["model_package_arn"]),
            evaluation=evaluation,
            verification=verification,
            endpoint_name=str(endpoint["endpoint_name"]),
            answers=answers,
            rows_in=rows_in,
            rows_out=rows_out,
            jobs=self._jobs(runs),
        )

    def _build(self) -> tuple[RunRecord, dict[str, float], dict[str, float]]:
        with self.progress.stage("Build the model") as stage:
            self.api.unpause(ROLLOUT)
            run_id = self._trigger(BUILD)
            (build,) = self._follow(stage, [RunRecord(BUILD, run_id)])
            results = self.results(build)
            evaluation = self._report(results, "evaluation")
            verification = self._report(results, "verification")
            stage.detail = (
                f"accuracy {evaluation['accuracy']:.4f}, compiled {verification['speedup']:.1f} times faster"
            )
        return build, evaluation, verification

    def _trigger(self, dag_id: str) -> str:
        self.api.unpause(dag_id)
        return self.api.trigger(dag_id)

    def _roll_out_and_score(self, build: RunRecord) -> tuple[RunRecord, dict[str, Any], list[RunRecord]]:
        """Follow the run that the approved model starts by itself, and score by the same model meanwhile."""
        with self.progress.stage("Roll out the approved model, score three nights") as stage:
            first, last = SCORED_DAYS[0], SCORED_DAYS[-1]
            self._start_backfill(first, last)
            nights = self._backfilled(first, last)
            rollout = self.asset_run(build)
            self._follow(stage, [rollout, *nights])
            endpoint = next(result for result in self.results(rollout).values() if "endpoint_arn" in result)
            stage.detail = f"endpoint {endpoint['endpoint_name']}, {len(nights)} partitions"
        return rollout, endpoint, nights

    def asset_run(
        self, build: RunRecord, *, dag_id: str = ROLLOUT, timeout_s: float = START_TIMEOUT_S
    ) -> RunRecord:
        """The rollout that the model of a build started by its approval."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for run in self.api.runs(dag_id, limit=5):
                # Airflow 3.3.2 answers 500 for a run that has not started: its model wants a start date.
                if run["start_date"] is None:
                    continue
                sources = {
                    event["source_run_id"] for event in self.api.asset_events(dag_id, run["dag_run_id"])
                }
                if build.run_id in sources:
                    return RunRecord(dag_id, run["dag_run_id"])
            self.stack.check()
            time.sleep(0.3)
        raise DemoError(
            f"{dag_id} was not started by the model that {build.run_id} approved in {timeout_s} s"
        )

    def backfill(self, first: date, last: date, stage: Stage) -> list[RunRecord]:
        """Score a span of days through an Airflow backfill, days that were scored before included."""
        self._start_backfill(first, last)
        return self.backfill_runs(stage, first, last)

    def _start_backfill(self, first: date, last: date) -> None:
        # Where SQLite is busy, Airflow deletes the runs that it has made so far, and a scheduler that has
        # taken up one of them ends. It takes up none of a paused DAG.
        self.api.pause(NIGHTLY)
        self._create_backfill(first, last)
        self.api.unpause(NIGHTLY)

    def _create_backfill(self, first: date, last: date) -> None:
        body = {
            "dag_id": NIGHTLY,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "max_active_runs": 3,
            "reprocess_behavior": "completed",
            "run_on_latest_version": True,
        }
        for attempt in range(1, BACKFILL_ATTEMPTS + 1):
            try:
                self.cancel_backfills()
                self.api.post("/backfills", body)
            except AirflowApiError as error:
                if attempt == BACKFILL_ATTEMPTS or not any(words in str(error) for words in PASSING_TROUBLE):
                    raise
                time.sleep(attempt * 0.5)
            else:
                return

    def backfill_runs(self, stage: Stage, first: date, last: date) -> list[RunRecord]:
        """Follow the backfilled runs of a span of days to their end."""
        return self._follow(stage, self._backfilled(first, last))

    def _backfilled(self, first: date, last: date) -> list[RunRecord]:
        """The backfilled runs of a span of days, by day."""
        wanted = (last - first).days + 1
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            found = self.api.runs(NIGHTLY, run_type="backfill")
            runs = [RunRecord(NIGHTLY, run["dag_run_id"]) for run in found if _within(run, first, last)]
            if len(runs) >= wanted:
                return sorted(runs, key=lambda run: run.run_id)
            if time.monotonic() > deadline:
                raise DemoError(f"{NIGHTLY}: {len(runs)} of {wanted} runs after {START_TIMEOUT_S} s")
            time.sleep(0.3)

    def cancel_backfills(self) -> None:
        """Close what a killed demo or a slow scheduler left open: a DAG has one backfill at a time."""
        for backfill in self.api.get("/backfills", dag_id=NIGHTLY)["backfills"]:
            if backfill["completed_at"] is None:
                self._cancel_backfill(backfill["id"])

    def _cancel_backfill(self, backfill_id: int) -> None:
        try:
            self.api.put(f"/backfills/{backfill_id}/cancel")
        except AirflowApiError as error:
            # The scheduler closes one whose runs have ended every half minute: between our two calls, too.
            if not any(words in str(error) for words in CLOSED_MEANWHILE):
                raise

    def _follow(self, stage: Stage, runs: list[RunRecord]) -> list[RunRecord]:
        def seen(runs: list[RunRecord]) -> None:
            self.stack.check()
            self.progress.runs(stage, runs)

        follow(self.api, runs, timeout_s=RUN_TIMEOUT_S, seen=seen)
        require_success(self.api, runs)
        return runs

    def results(self, run: RunRecord) -> dict[str, dict[str, Any]]:
        """Results of a run's tasks that are mappings, by task."""
        results = {}
        for entry in self.api.run_xcoms(run.dag_id, run.run_id):
            value = self.api.xcom(run.dag_id, run.run_id, entry["task_id"])
            if isinstance(value, dict):
                results[entry["task_id"]] = value
        return results

    def _report(self, results: dict[str, dict[str, Any]], name: str) -> dict[str, float]:
        """The metrics of the job that has an output of this name."""
        for result in results.values():
            if location := result.get("outputs", {}).get(name):
                prefix = str(location).removeprefix(f"s3://{BUCKET}/").rstrip("/")
                report = json.loads(self.read(f"{prefix}/{name}.json"))
                metrics: dict[str, float] = report["metrics"]
                return metrics
        raise DemoError(f"no task of {BUILD} has an output {name}")

    def read(self, key: str) -> bytes:
        """An object of the bucket."""
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def _check(self, endpoint_name: str) -> tuple[Answers, int, int]:
        answers = Answers()
        rows_out = 0
        for day in SCORED_DAYS:
            raw = list(csv.reader(io.StringIO(self.read(f"{PIPELINE}/raw/dt={day}/data.csv").decode())))[1:]
            predictions = _rows(self.read(f"{PIPELINE}/predictions/dt={day}/predictions.csv"))
            rows_out += len(predictions)
            if len(raw) != len(predictions):
                raise DemoError(f"{day}: {len(predictions)} predictions for {len(raw)} rows")
            answered = self._ask(endpoint_name, [row[1:] for row in raw])
            for asked, live, batch in zip(raw, answered, predictions, strict=True):
                answers.truth.append(int(asked[0]))
                answers.images.append([int(pixel) for pixel in asked[1:]])
                answers.labels.append(int(float(live[0])))
                answers.batch.append(int(float(batch[0])))
                answers.different += not same_answer(live, batch)
        return answers, len(answers.truth), rows_out

    def _ask(self, endpoint_name: str, rows: Sequence[Sequence[str]]) -> Iterator[list[str]]:
        for first in range(0, len(rows), ROWS_PER_REQUEST):
            body = "".join(",".join(row) + "\n" for row in rows[first : first + ROWS_PER_REQUEST])
            answer = self.runtime.invoke_endpoint(
                EndpointName=endpoint_name, ContentType="text/csv", Accept="text/csv", Body=body.encode()
            )
            yield from _rows(answer["Body"].read())

    def _jobs(self, runs: list[RunRecord]) -> dict[tuple[str, str, str], str]:
        """Name of the job by dag, run and task."""
        return {
            (run.dag_id, run.run_id, task_id): str(result["job_name"])
            for run in runs
            for task_id, result in self.results(run).items()
            if "job_name" in result
        }


def same_answer(one: Sequence[str], other: Sequence[str], *, tolerance: float = 1e-5) -> bool:
    """Whether two rows of predictions agree, number by number."""
    return len(one) == len(other) and all(
        math.isclose(float(left), float(right), rel_tol=0, abs_tol=tolerance)
        for left, right in zip(one, other, strict=True)
    )


def _rows(body: bytes) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(body.decode())) if row]


def _within(run: dict[str, Any], first: date, last: date) -> bool:
    return run["logical_date"] is not None and str(first) <= run["logical_date"][:10] <= str(last)
