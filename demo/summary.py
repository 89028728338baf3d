"""What the demo showed: ``summary.json`` for programs, a page on the terminal for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo.chain import PIPELINE, SCORED_DAYS, ChainResult
from demo.jobs import JobInterval, uncovered_s
from demo.stack import BUCKET, USER, Stack

SUMMARY_FILE = "summary.json"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the demo took.

    Attributes:
        setup_s: From the command to a healthy stack, installation included.
        wall_s: From the command to the summary.
    """

    setup_s: float
    wall_s: float


def document(
    chain: ChainResult, intervals: dict[str, JobInterval], timing: Timing, sagemaker_url: str
) -> dict[str, Any]:
    """The content of summary.json."""
    ran = {name: intervals[name] for name in chain.jobs.values() if name in intervals}
    return {
        "pipeline": PIPELINE,
        "accuracy": chain.evaluation["accuracy"],
        "baseline_accuracy": chain.evaluation["baseline_accuracy"],
        "model_package_arn": chain.model_package_arn,
        "compiled": {key: chain.verification[key] for key in ("max_abs_diff", "p50_us", "original_p50_us")},
        "endpoint": {
            "name": chain.endpoint_name,
            "url": endpoint_url(sagemaker_url, chain.endpoint_name),
            "predictions_checked": chain.answers.checked,
            "predictions_wrong": chain.answers.different,
        },
        "batch": {
            "partitions": len(SCORED_DAYS),
            "rows_in": chain.rows_in,
            "rows_out": chain.rows_out,
        },
        "tasks": [
            {
                "dag_id": task.dag_id,
                "task_id": task.task_id,
                "state": task.state,
                "queued_s": round(task.queued_s, 3),
                "run_s": round(task.run_s, 3),
                "job_s": _job_s(chain, ran, (task.dag_id, task.run_id, task.task_id)),
            }
            for run in chain.runs
            for task in sorted(run.tasks.values(), key=lambda task: str(task.started_at))
        ],
        "wall_s": round(timing.wall_s, 3),
        "setup_s": round(timing.setup_s, 3),
        "orchestration_s": round(uncovered_s(chain.started_at, chain.ended_at, ran.values()), 3),
    }


def write(folder: Path, content: dict[str, Any]) -> Path:
    """Write summary.json, whole or not at all."""
    path = folder / SUMMARY_FILE
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)
    return path


def show(console: Console, content: dict[str, Any], stack: Stack, home: Path) -> None:
    """The page at the end of the demo."""
    compiled, endpoint, batch = content["compiled"], content["endpoint"], content["batch"]
    speedup = compiled["original_p50_us"] / compiled["p50_us"]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(
        "Model",
        f"accuracy {content['accuracy']:.4f} on three days that it never saw; "
        f"the baseline (nearest centroid): {content['baseline_accuracy']:.4f}",
    )
    table.add_row("", escape(content["model_package_arn"]))
    table.add_row(
        "Compiled",
        f"{compiled['p50_us']:.0f} µs a row instead of {compiled['original_p50_us']:.0f} µs "
        f"({speedup:.1f} times faster), largest difference {compiled['max_abs_diff']:.1e}",
    )
    table.add_row(
        "Endpoint",
        f"{endpoint['name']}: {endpoint['predictions_checked']} answers compared with the nightly batch, "
        f"{endpoint['predictions_wrong']} differ",
    )
    table.add_row(
        "Batch",
        f"{batch['partitions']} partitions, {batch['rows_in']} rows in, {batch['rows_out']} rows out",
    )
    for day in SCORED_DAYS:
        table.add_row("", f"s3://{BUCKET}/{PIPELINE}/predictions/dt={day}/predictions.csv")
    table.add_row(
        "Time",
        f"{content['wall_s']:.0f} s in all, {content['setup_s']:.0f} s to start, "
        f"{content['orchestration_s']:.0f} s in which no job ran",
    )
    table.add_row("Airflow", f"{stack.airflow_url}  user {USER}  password {escape(stack.password)}")
    table.add_row("Files", f"{home / SUMMARY_FILE}, *.png beside it")
    console.rule("Done")
    console.print(table)
    console.print("\nAsk the endpoint for the digit in this picture of a zero:\n", highlight=False)
    # Unwrapped, so that it can be copied.
    console.print(curl_line(endpoint["url"]), soft_wrap=True, highlight=False, markup=False)


def endpoint_url(sagemaker_url: str, endpoint_name: str) -> str:
    """Where InvokeEndpoint of this endpoint is served."""
    return f"{sagemaker_url}/endpoints/{endpoint_name}/invocations"


def curl_line(url: str) -> str:
    """A command that sends the first digit of the data set."""
    pixels = (
        "0,0,5,13,9,1,0,0,0,0,13,15,10,15,5,0,0,3,15,2,0,11,8,0,0,4,12,0,0,8,8,0,"
        "0,5,8,0,0,9,8,0,0,4,11,0,1,12,7,0,0,2,14,5,10,12,0,0,0,0,6,13,10,0,0,0"
    )
    return f"curl -H 'Content-Type: text/csv' -d '{pixels}' {url}"


def _job_s(chain: ChainResult, ran: dict[str, JobInterval], task: tuple[str, str, str]) -> float | None:
    name = chain.jobs.get(task)
    return round(ran[name].seconds, 3) if name in ran else None
