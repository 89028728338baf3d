"""What orchestration adds to a chain: the digits' model build beside a chain of as many empty tasks.

    .venv/bin/python -m benchmarks.chain              # some minutes
    .venv/bin/python -m benchmarks.chain --quick
    .venv/bin/python -m benchmarks.chain --cold       # processes and tasks that import everything themselves

Both run in one Airflow (SQLite, LocalExecutor), in turn. Orchestration is the time of a run in which no job
runs, as SageMaker tells it; of the empty chain it is all of it. Data gates, which validate on a worker, are
work as jobs are and are told apart: their time, from start to end, is not orchestration.

Twice: with the scheduler's own pace, as Airflow comes (it rests for a second between its looks), and with the
demo's (a tenth of one).
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reporting import Report
from demo import aws, jobs, land
from demo.airflow_settings import SHORT_JOBS
from demo.runs import RunRecord, follow, require_success
from demo.stack import BUCKET, ROOT, Stack, StackSettings

BUILD, EMPTY = "digits__model_build", "empty_chain"
GATES = ("gate_raw", "gate_prepared")
OURS, FLOOR = "model build", "empty tasks"

EMPTY_DAG = '''
"""As many tasks as the model build has, which do nothing."""
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, chain

def nothing():
    """Do nothing, in a task."""

with DAG("{dag_id}", schedule=None) as dag:
    chain(*[PythonOperator(task_id=f"step{{step}}", python_callable=nothing) for step in range({steps})])
'''
STEPS = 11
PACES: dict[str, dict[str, str]] = {
    "the scheduler as it comes": {
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "5",
    },
    "the demo's scheduler": {},
}
RUN_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Run:
    """One run of a chain, in seconds.

    Attributes:
        wall_s: From the run's first queued task to its last end.
        orchestration_s: Of that, without what jobs and gates did.
        without_jobs_s: Of that, without what jobs did.
    """

    wall_s: float
    orchestration_s: float
    without_jobs_s: float


@contextmanager
def running_stack(*, forked: bool, environment: Mapping[str, str]) -> Iterator[Stack]:
    """Airflow with both chains, the local SageMaker with the data."""
    with tempfile.TemporaryDirectory(prefix="chain-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "include", folder / "include")
        dags = folder / "dags"
        dags.mkdir()
        shutil.copy2(ROOT / "dags" / "model_build.py", dags)
        (dags / "empty_chain.py").write_text(EMPTY_DAG.format(dag_id=EMPTY, steps=STEPS))
        stack = Stack(
            StackSettings(
                home=folder / "home",
                sagemaker_port=0,
                airflow_port=0,
                dags_dir=dags,
                connection_settings=SHORT_JOBS,
                environment=environment,
                warm=forked,
                forked=forked,
            )
        )
        try:
            stack.start()
            land.land(aws.client("s3", stack.sagemaker_url), BUCKET, "digits", land.digits())
            stack.wait_for_dags({BUILD, EMPTY})
            for dag_id in (BUILD, EMPTY):
                stack.api.unpause(dag_id)
            yield stack
        finally:
            stack.stop()


def run_chain(stack: Stack, dag_id: str) -> Run:
    """Run a chain once to its end."""
    since = datetime.datetime.now(datetime.UTC)
    run = RunRecord(dag_id, stack.api.trigger(dag_id))
    follow(stack.api, [run], timeout_s=RUN_TIMEOUT_S)
    require_success(stack.api, [run])
    seen = stack.api.run(dag_id, run.run_id)
    started, ended = (datetime.datetime.fromisoformat(seen[name]) for name in ("start_date", "end_date"))
    ran = list(jobs.intervals(aws.client("sagemaker", stack.sagemaker_url), since).values())
    gates = [
        jobs.JobInterval(task.task_id, "Gate", "success", task.started_at, task.ended_at)
        for task in run.tasks.values()
        if task.task_id in GATES and task.started_at and task.ended_at
    ]
    return Run(
        wall_s=(ended - started).total_seconds(),
        orchestration_s=jobs.uncovered_s(started, ended, [*ran, *gates]),
        without_jobs_s=jobs.uncovered_s(started, ended, ran),
    )


def run_chains(rounds: int, *, forked: bool, environment: Mapping[str, str]) -> dict[str, list[Run]]:
    """Run both in turns on a stack of their own; the first runs, which import and build, do not count."""
    found: dict[str, list[Run]] = {BUILD: [], EMPTY: []}
    with running_stack(forked=forked, environment=environment) as stack:
        for dag_id in found:
            run_chain(stack, dag_id)
        for _ in range(rounds):
            for dag_id, runs in found.items():
                runs.append(run_chain(stack, dag_id))
    return found


def main() -> None:
    """Alternate the chains and publish."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--rounds", type=int, help="default: 5, quick 2")
    parser.add_argument("--cold", action="store_true", help="start Airflow as people do, not as the demo")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 5)
    title = f"Orchestration of a chain of {STEPS} tasks, {'cold' if options.cold else 'warm'} Airflow"
    report = Report("chain", title, FLOOR, ["apache-airflow"], quick=options.quick)
    for pace, environment in PACES.items():
        found = run_chains(rounds, forked=not options.cold, environment=environment)
        for peer, dag_id in ((OURS, BUILD), (FLOOR, EMPTY)):
            runs = found[dag_id]
            for what, samples in (
                ("without jobs and gates", [run.orchestration_s for run in runs]),
                ("without jobs", [run.without_jobs_s for run in runs]),
                ("the whole run", [run.wall_s for run in runs]),
            ):
                report.add(f"{pace}: {what}", peer, samples, unit="s", better="lower")
        report.aim(
            f"orchestration at most 1.3 times, {pace}",
            f"{pace}: without jobs and gates",
            OURS,
            at_least=1 / 1.3,
        )
    report.publish()


if __name__ == "__main__":
    main()
