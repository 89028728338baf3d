"""Run benchmarks by name, one after the other, each as a process of its own.

    .venv/bin/python -m benchmarks --list
    .venv/bin/python -m benchmarks                     # every one in its quick form: under 15 minutes in all
    .venv/bin/python -m benchmarks serving compilers   # some
    .venv/bin/python -m benchmarks --resume            # those that did not go well at this commit yet
    .venv/bin/python -m benchmarks --full serving      # the long form, whose figures scatter less

Each prints a table of ratios and writes ``build/bench/<name>.json`` and ``.svg``. One that fails does not
keep the others from running; the exit code says so at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import psutil

from benchmarks.machine import ROOT, commit, describe

OUTCOMES = ROOT / "build" / "bench" / "outcomes.json"
STOPS_WITHIN_S = 30.0


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        module: Below ``benchmarks``; runs as a program.
        quick: Arguments of its short form.
        within_s: When the short form hangs rather than takes long.
    """

    name: str
    says: str
    module: str
    quick: tuple[str, ...] = ("--quick",)
    within_s: float = 420.0


BENCHMARKS = (
    Benchmark("serving", "our model server beside four that people use, by wrk", "serving"),
    Benchmark("compilers", "compiled models beside their frameworks' predict", "compilers"),
    Benchmark("batch_transform", "batch transform beside predict in one process", "batch_transform"),
    Benchmark("processing", "a processing job beside its program on local files", "processing"),
    Benchmark("startup", "jobs and endpoints from Create to running; describe and list", "startup"),
    Benchmark("object_storage", "the local S3 beside moto's", "object_storage"),
    Benchmark("chain", "a chain of jobs beside a chain of empty tasks", "chain"),
    Benchmark("polling", "waiting tasks beside the Amazon provider's", "polling"),
    # It starts Airflow, and jobs of eight seconds.
    Benchmark("overhead", "seconds between two jobs beside the Amazon provider's", "overhead", within_s=600),
    Benchmark("parsing", "parsing DAG files beside the Amazon provider's operators", "parsing"),
)


def run(benchmark: Benchmark, *, full: bool) -> str:
    """Run one to its end; returns what came of it in a few words."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark.module}", *(() if full else benchmark.quick)]
    print(f"\n== {benchmark.name}: {benchmark.says}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        code = process.wait(None if full else benchmark.within_s)
    except subprocess.TimeoutExpired:
        _stop(process)
        return f"FAILED: not done after {benchmark.within_s:.0f} s"
    took = f"{time.monotonic() - started:.0f} s"
    return took if code == 0 else f"FAILED with exit code {code} after {took}"


def recorded() -> dict[str, str]:
    """Benchmark → the commit and form in which it last went well."""
    found: dict[str, str] = json.loads(OUTCOMES.read_text()) if OUTCOMES.exists() else {}
    return found


def record(benchmark: Benchmark, form: str | None) -> None:
    """Remember that one went well, or forget that it did."""
    others = {name: before for name, before in recorded().items() if name != benchmark.name}
    OUTCOMES.parent.mkdir(parents=True, exist_ok=True)
    OUTCOMES.write_text(json.dumps(others | ({benchmark.name: form} if form else {}), indent=1) + "\n")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt it, as Ctrl-C would, so that it ends what it started; then end what is left."""
    tree = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def main() -> int:
    """Run what was asked for; 0 when all of it ended well."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument(
        "--resume", action="store_true", help="leave out what went well at this commit in this form"
    )
    parser.add_argument("--full", action="store_true", help="the long forms")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(names)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    if options.list:
        for benchmark in BENCHMARKS:
            print(f"{benchmark.name:<16} {benchmark.says}")
        return 0
    print(describe().line())
    chosen = [benchmark for benchmark in BENCHMARKS if not options.names or benchmark.name in options.names]
    started = time.monotonic()
    outcomes = {}
    form = f"{commit()} {'full' if options.full else 'quick'}"
    for benchmark in chosen:
        if options.resume and recorded().get(benchmark.name) == form:
            outcomes[benchmark.name] = "done before"
            continue
        outcomes[benchmark.name] = outcome = run(benchmark, full=options.full)
        record(benchmark, None if outcome.startswith("FAILED") else form)
    print(f"\n{time.monotonic() - started:.0f} s in all")
    for name, outcome in outcomes.items():
        print(f"{name:<16} {outcome}")
    print("tables above; JSON and charts are in build/bench/")
    return any(outcome.startswith("FAILED") for outcome in outcomes.values())


if __name__ == "__main__":
    sys.exit(main())
