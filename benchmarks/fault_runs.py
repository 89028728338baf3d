"""Randomised fault runs: batches of short jobs of every kind, one random fault at a random moment of each.

    .venv/bin/python -m benchmarks.fault_runs                     # 500 runs: an hour or two on two cores
    .venv/bin/python -m benchmarks.fault_runs --runs 40 --seed 3

A real Airflow on PostgreSQL (scheduler, triggerer, workers, API server) and a local SageMaker of its own.
After each batch the server's lists say what was paid for. The same seed makes the same batches and faults;
when a process is hit differs with the machine. One line a batch goes to ``--progress`` at once. The last line
counts: runs that ended well without a person, duplicates (more than one job for a step that no fault ended),
orphans (still running after the run), lost outputs. All but the first two are to be 0.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# First: it makes the imports of tests below find ours.
from benchmarks import own_tests  # noqa: F401
from demo.runs import RunRecord, follow
from tests.faults import breakage
from tests.faults.conftest import KINDS, running_house
from tests.faults.paid import Books
from tests.running_stack import House

CRASH_PLACES = (
    "before_create", "after_create", "on_worker", "before_defer", "after_defer", "after_resume", "before_end",
)  # fmt: skip
LONGEST_MOMENT_S = 12.0
"""A batch is submitted, waits and ends within about this time."""
TIMEOUT_S = 900.0
MACHINE_FAULTS = ("capacity", "die")
COUNTED = ("unwell", "duplicate", "orphan", "lost")

Act = Callable[[House], None]


@dataclass(frozen=True)
class Fault:
    """What happens to a batch.

    Attributes:
        name: For the reader.
        conf: Of every run: a crash of its worker.
        rules: In force from the beginning to the end.
        act: Done to the house after ``moment_s``.
    """

    name: str
    conf: dict[str, Any]
    rules: tuple[dict[str, Any], ...]
    act: Act | None
    moment_s: float


def random_fault(dice: random.Random) -> Fault:
    """One of everything that may happen."""
    moment_s = dice.uniform(0.0, LONGEST_MOMENT_S)
    family = dice.choice(("worker", "process", "process", "calls", "machine"))
    match family:
        case "worker":
            place = dice.choice(CRASH_PLACES)
            alone = dice.random() < 0.7  # the other way takes Airflow half a minute to see
            return Fault(f"worker {place}", {"crash": place, "alone": alone}, (), None, 0.0)
        case "process":
            act = dice.choice((*breakage.DEATHS, *breakage.STILLNESS))
            return Fault(act.__name__, {}, (), act, moment_s)
        case "calls":
            name = dice.choice(list(breakage.CALLS))
            return Fault(name, {}, breakage.CALLS[name], None, 0.0)
    fault = dice.choice(MACHINE_FAULTS)
    rule = {"fault": fault, "count": dice.randint(1, 3)} | ({"after_s": 0.5} if fault == "die" else {})
    return Fault(fault, {}, (rule,), None, 0.0)


@contextlib.contextmanager
def in_force(house: House, fault: Fault, seed: int) -> Iterator[None]:
    """The fault's rules, if it has any."""
    if not fault.rules:
        yield
        return
    with breakage.calls(house, fault.rules, seed=seed):
        yield


def batch(house: House, books: Books, dice: random.Random, size: int) -> tuple[Fault, list[str], int]:
    """Runs of random kinds under one fault: the fault, what is wrong, how many ended well."""
    fault = random_fault(dice)
    runs = []
    with in_force(house, fault, dice.randint(0, 10**6)):
        for _ in range(size):
            dag_id = f"{dice.choice(('fault', 'resumed'))}_{dice.choice(KINDS)}"
            conf = {"seconds": round(dice.uniform(0.5, 5.0), 1), **fault.conf}
            runs.append(RunRecord(dag_id, house.api.trigger(dag_id, conf=conf)))
        if fault.act is not None:
            time.sleep(fault.moment_s)
            fault.act(house)
        with contextlib.suppress(TimeoutError):  # told below: it has not ended well
            follow(house.api, runs, timeout_s=TIMEOUT_S, seen=lambda _: house.stack.check())
    complaints = [complaint for run in runs for complaint in books.complaints(run)]
    return fault, complaints, sum(run.state == "success" for run in runs)


def remove_endpoints(house: House) -> None:
    """A model server is a process: it ends with its endpoint."""
    pages = house.sagemaker.get_paginator("list_endpoints").paginate(NameContains="fault-")
    for endpoint in [item for page in pages for item in page["Endpoints"]]:
        if endpoint["EndpointStatus"] in ("InService", "Failed"):
            house.sagemaker.delete_endpoint(EndpointName=endpoint["EndpointName"])


def main() -> None:
    """Run, count, say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=10, help="runs at once")
    parser.add_argument("--progress", type=Path, default=Path("build/fault_runs.jsonl"))
    options = parser.parse_args()
    dice = random.Random(options.seed)
    options.progress.parent.mkdir(parents=True, exist_ok=True)
    totals: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    started = time.monotonic()
    with contextlib.contextmanager(running_house)() as house, options.progress.open("w") as progress:
        books = Books(house)
        while totals["runs"] < options.runs:
            size = min(options.batch, options.runs - totals["runs"])
            fault, complaints, well = batch(house, books, dice, size)
            totals["runs"] += size
            totals["well"] += well
            totals.update(complaint.partition(":")[0] for complaint in complaints)
            line = {"fault": fault.name, "s": round(time.monotonic() - started), **totals}
            progress.write(json.dumps(line | {"complaints": complaints}) + "\n")
            progress.flush()
            print(json.dumps(line), flush=True)
            remove_endpoints(house)
    print(
        f"{totals['runs']} runs (seed {options.seed}): {totals['well']} ended well, "
        f"{totals['duplicate']} duplicates, {totals['orphan']} orphans, {totals['lost']} lost outputs"
    )
    raise SystemExit(any(totals[name] for name in COUNTED))


if __name__ == "__main__":
    main()
