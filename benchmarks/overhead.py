"""What orchestration adds to a step: from the end of a job to the creation of the next.

    .venv/bin/python -m benchmarks.overhead                        # all comparisons: about ten minutes
    .venv/bin/python -m benchmarks.overhead --only equal events    # some of them
    .venv/bin/python -m benchmarks.overhead --cold                 # tasks fork from a bare scheduler

The same chain of training jobs in one real Airflow (PostgreSQL, LocalExecutor) on one local SageMaker: by
our operator and by the Amazon provider's deferrable one, and, as the floor, a chain of tasks that do nothing.
A step's overhead is the time between a job's end and the creation of the next job, both as SageMaker tells
them; of the floor, between a task's end and the next task's start. Rounds alternate, medians are shown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.overhead_chains import COUNTED, Chain, calls, running_stack
from benchmarks.overhead_steps import PARTS, Step, gaps_of_tasks, medians, steps_of_jobs
from benchmarks.reporting import Report
from demo import aws
from demo.runs import RunRecord, follow, require_success
from demo.stack import Stack

AIM = 0.5
PEERS = {"ours": "airflow_sagemaker", "provider": "amazon provider"}
SIDE_BY_SIDE = 5
"""Runs at once where calls are made equal: one poll serves all of ours, the provider's have one each."""
EMPTY = Chain("empty")


@dataclass(frozen=True)
class Comparison:
    """Two chains, and on what terms they meet.

    :param at_once: so many runs of each chain
    """

    terms: str
    ours: Chain
    provider: Chain
    at_once: int = 1


COMPARISONS = {
    "equal": Comparison("both look every second", Chain("ours", 1), Chain("provider", 1)),
    "defaults": Comparison("each with its own default of looks", Chain("ours"), Chain("provider")),
    "calls": Comparison(
        f"{SIDE_BY_SIDE} runs at once, about as many API calls",
        Chain("ours", 1),
        Chain("provider", SIDE_BY_SIDE),
        SIDE_BY_SIDE,
    ),
    "worker": Comparison(
        "ours on the worker, the provider looks every second",
        Chain("ours", 1, on_worker=True),
        Chain("provider", 1),
    ),
    "events": Comparison(
        "ours by events, the provider looks every second",
        Chain("ours", None, events=True),
        Chain("provider", 1),
    ),
}  # fmt: skip


@dataclass
class Found:
    """What was seen of one chain."""

    steps: list[Step] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    took_s: float = 0.0

    @property
    def median_s(self) -> float:
        """Of the overhead of a step."""
        return statistics.median(step.overhead_s for step in self.steps)

    @property
    def calls_per_minute(self) -> float:
        """To the server while the chain ran, all but those that create."""
        return (self.calls.total() - self.calls["CreateTrainingJob"]) / self.took_s * 60


def run_chain(stack: Stack, chain: Chain, number: int, at_once: int, found: Found | None) -> None:
    """Run a chain, so many times at once, and take down what was seen."""
    api, dag_id = stack.api, chain.dag_id
    api.unpause(dag_id)
    client = aws.client("sagemaker", stack.sagemaker_url)
    before, began = calls(stack.sagemaker_url), time.monotonic()
    since = time.time()
    names = [f"{dag_id.replace('_', '-')}-{number}-{at}" for at in range(at_once)]
    runs = [RunRecord(dag_id, api.trigger(dag_id, conf={"name": name})) for name in names]
    follow(api, runs, timeout_s=900)
    require_success(api, runs)
    if found is None:
        return
    found.took_s += time.monotonic() - began
    found.calls.update(calls(stack.sagemaker_url) - before)
    described = [
        client.describe_training_job(TrainingJobName=summary["TrainingJobName"])
        for page in client.get_paginator("list_training_jobs").paginate(CreationTimeAfter=since)
        for summary in page["TrainingJobSummaries"]
    ]
    for run, name in zip(runs, names, strict=True):
        if chain.peer == "provider":
            jobs = [job for job in described if job["TrainingJobName"].startswith(f"{name}-")]
        else:
            jobs = [job for job in described if job["TrainingJobName"] in _results(stack, run)]
        found.steps += steps_of_jobs(stack, dag_id, run.run_id, jobs)


def _results(stack: Stack, run: RunRecord) -> set[str]:
    tasks = {str(entry["task_id"]) for entry in stack.api.run_xcoms(run.dag_id, run.run_id)}
    return {stack.api.xcom(run.dag_id, run.run_id, task)["job_name"] for task in tasks}


def floor(stack: Stack) -> float:
    """The same chain of tasks that do nothing."""
    for _ in range(2):
        run = RunRecord(EMPTY.dag_id, stack.api.trigger(EMPTY.dag_id))
        stack.api.unpause(EMPTY.dag_id)
        follow(stack.api, [run], timeout_s=300)
    return statistics.median(gaps_of_tasks(stack, EMPTY.dag_id, run.run_id))


def compare(stack: Stack, comparison: Comparison, rounds: int, floor_s: float, report: Report) -> None:
    """Alternate the two chains, print what was seen, and put it into the report."""
    chains = {"ours": comparison.ours, "provider": comparison.provider}
    found = {name: Found() for name in chains}
    for number in range(1, rounds + 1):
        for name, chain in chains.items():
            # A chain may take part in several comparisons: names of jobs must not come twice.
            run_chain(stack, chain, int(time.time()) % 10**6 + number, comparison.at_once, found[name])
    print(f"\n{comparison.terms}")
    print(f"  {'':<9} {'median':>7} {'least':>6} {'most':>6} {'steps':>6} {'calls/min':>10}   "
          + " ".join(f"{name:>8}" for name, _ in PARTS))  # fmt: skip
    for name, seen in found.items():
        each = sorted(step.overhead_s for step in seen.steps)
        parts = medians(seen.steps)
        print(f"  {name:<9} {seen.median_s:>7.2f} {each[0]:>6.2f} {each[-1]:>6.2f} {len(each):>6} "
              f"{seen.calls_per_minute:>10.1f}   " + " ".join(f"{parts[part]:>8.2f}" for part, _ in PARTS)
              + f"   {_most_called(seen.calls)}")  # fmt: skip
        of_steps = [step.overhead_s for step in seen.steps]
        report.add(comparison.terms, PEERS[name], of_steps, unit="s", better="lower")
        calls_per_minute = [seen.calls_per_minute]
        report.add(
            f"{comparison.terms}, API calls", PEERS[name], calls_per_minute, unit="a minute", better="lower"
        )
    report.aim(f"overhead of a step, {comparison.terms}", comparison.terms, PEERS["ours"], at_least=1 / AIM)
    ours, provider = found["ours"].median_s, found["provider"].median_s
    print(f"  ours / provider: {ours / provider:.2f} (aim: at most {AIM:.2f}); above the floor: "
          f"{ours - floor_s:.2f} s, the provider {provider - floor_s:.2f} s", flush=True)  # fmt: skip


def _most_called(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {counted[name]}" for name in COUNTED if counted[name])


def warm_up(stack: Stack, chains: Sequence[Chain]) -> None:
    """What is imported once, and byte code, is no part of it: one run of each peer at its fastest."""
    for peer in ("ours", "provider"):
        of_peer = [each for each in chains if each.peer == peer]
        fastest = min(of_peer, key=lambda each: each.interval_s or 10**6)
        run_chain(stack, fastest, 0, 1, None)


def main() -> None:
    """Alternate the chains, and print medians, parts and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round of three steps, of 'equal' only")
    parser.add_argument("--steps", type=int, help="default 5, quick 3")
    parser.add_argument("--rounds", type=int, help="default 2, quick 1")
    parser.add_argument("--only", nargs="+", choices=COMPARISONS, help="default all, quick 'equal'")
    parser.add_argument(
        "--job-s",
        type=int,
        default=8,
        help="seconds of a job: the provider waits out a short one on its worker",
    )
    parser.add_argument("--cold", action="store_true", help="fork tasks from a scheduler as people run it")
    options = parser.parse_args()
    steps, rounds = (
        options.steps or (3 if options.quick else 5),
        options.rounds or (1 if options.quick else 2),
    )
    chosen = [COMPARISONS[name] for name in options.only or (["equal"] if options.quick else COMPARISONS)]
    chains = list(dict.fromkeys(chain for each in chosen for chain in (each.ours, each.provider)))
    packages = ["apache-airflow", "apache-airflow-providers-amazon"]
    title = "From a job's end to the creation of the next"
    report = Report("overhead", title, PEERS["provider"], packages, quick=options.quick)
    stack_settings = {"steps": steps, "job_s": options.job_s, "warm": not options.cold}
    with running_stack([*chains, EMPTY], **stack_settings) as stack:
        warm_up(stack, chains)
        floor_s = floor(stack)
        warmth = "cold" if options.cold else "warm"
        print(f"seconds from a job's end to the next job's creation, {warmth} scheduler, load "
              f"{os.getloadavg()[0]:.0f}; floor of empty tasks {floor_s:.2f} s")  # fmt: skip
        print("\n".join(f"  {name:<8} {what}" for name, what in PARTS))
        for each in chosen:
            compare(stack, each, rounds, floor_s, report)
    report.note(f"the floor, a chain of tasks that do nothing: {floor_s:.2f} s")
    report.publish()


if __name__ == "__main__":
    main()
