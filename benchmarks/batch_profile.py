"""Where the time of a batch transform goes: samples of the local SageMaker and of the model's workers.

    .venv/bin/python -m benchmarks.batch_profile                  # XGBoost compiled, a file of 600 MB
    .venv/bin/python -m benchmarks.batch_profile --only digits

py-spy (fetched by uv for this alone) looks at all processes that work for one transform job. The table
counts samples by what a thread was doing for the job; the flame graph is of the same samples. An event loop
in native code looks the same to py-spy whether it works or waits: of these samples as many count as the
thread's processor time, by the kernel's clock, leaves over. 60 MB are transformed within a second, too short
to be looked at: hence 600. Being looked at slows the job down: its rows/s are not those of the benchmark.
"""

from __future__ import annotations

import argparse
import collections
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks import flames
from benchmarks.batch_transform import BUCKET, MEGABYTE, SUBJECTS, House, rows_of
from benchmarks.local_server import ROOT, local_server
from benchmarks.machine import describe
from benchmarks.reporting import FOLDER

PY_SPY = (str(ROOT / "build/uv/uv"), "tool", "run", "--quiet", "--from", "py-spy==0.4.3", "py-spy")
RATE_HZ = 200
SECONDS = 4
LOOP = "Runner.run (asyncio/runners.py"
WAITS = ("_worker (concurrent/futures/thread.py", "Condition.wait (", "wait (threading.py")
LOOKS_S, BUSY_S = 0.25, 0.1
"""A process that takes so much processor time within that works for the job."""
WORKER, SERVER = "workers", "local SageMaker"

KINDS: dict[str, dict[str, Sequence[str]]] = {
    WORKER: {
        "predict (compiled)": ("Handler.predict",),
        "parse the CSV: simdjson": ("_parsed (",),
        "parse the CSV: look at separators, copies": ("csv_rows.py", "Handler.read"),
        "write the answers (orjson)": ("Handler.write",),
        "HTTP and sockets: uvicorn, uvloop": ("runners.py",),
    },
    SERVER: {
        "count rows": ("_rows (",),
        "cut payloads: read the file": ("splitting.py",),
        "write the output, MD5": ("blobs.py", "transform_output.py"),
        "send payloads": ("StreamWriter.write", "_send_pieces"),
        "receive answers, event loop": ("runners.py",),
    },
}
"""A sample counts as the first of these that has a word in one of its frames."""


def busy_below(server: int) -> list[int]:
    """Processes below the server that work."""
    below = psutil.Process(server).children(recursive=True)
    before = {each.pid: sum(each.cpu_times()[:2]) for each in below}
    time.sleep(LOOKS_S)
    return [each.pid for each in below if sum(each.cpu_times()[:2]) - before[each.pid] > BUSY_S]


def processor_s(pids: Iterable[int]) -> dict[str, float]:
    """What each thread of some processes has used, by the name that py-spy gives it."""
    return {
        f"thread ({task.name})": int((task / "schedstat").read_text().split()[0]) / 1e9
        for pid in pids
        for task in Path(f"/proc/{pid}/task").iterdir()
    }


def look(pids: Mapping[str, int], folder: Path) -> dict[str, flames.Stacks]:
    """Samples of all processes at once, by their names."""
    began, before = time.monotonic(), processor_s(pids.values())
    watching = [
        subprocess.Popen(
            [*PY_SPY, "record", "--threads", "--rate", str(RATE_HZ), "--duration", str(SECONDS),
             "--format", "raw", "--output", str(folder / name), "--pid", str(pid)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name, pid in pids.items()
    ]  # fmt: skip
    time.sleep(SECONDS)
    used = {name: took - before.get(name, 0.0) for name, took in processor_s(pids.values()).items()}
    share = {name: took / (time.monotonic() - began) for name, took in used.items()}
    for each in watching:
        said, _ = each.communicate()
        if each.returncode:
            raise SystemExit(f"py-spy cannot look (it needs root, or ptrace_scope 0):\n{said}")
    return {name: working(flames.read(folder / name), share) for name in pids}


def working(stacks: flames.Stacks, share: Mapping[str, float]) -> flames.Stacks:
    """Only the samples of work, without the thread's name.

    Args:
        stacks: Their outermost frame is the thread.
        share: Of a processor, by thread.
    """
    found: flames.Stacks = collections.Counter()
    loops: dict[str, tuple[str, ...]] = {}
    counted: collections.Counter[str] = collections.Counter()
    for (named, *frames), samples in stacks.items():
        thread = named.partition(":")[0]
        if not frames or frames[-1].startswith(WAITS):
            continue
        if frames[-1].startswith(LOOP):
            loops[thread] = tuple(frames)
            continue
        found[tuple(frames)] += samples
        counted[thread] += samples
    for thread, stack in loops.items():
        left = round(share.get(thread, 0.0) * RATE_HZ * SECONDS) - counted[thread]
        found[stack] += max(0, left)
    return found


def kind_of(role: str, stack: Sequence[str]) -> str:
    """What a sample is counted as."""
    for kind, words in KINDS[role].items():
        if any(word in frame for frame in stack for word in words):
            return kind
    return "else"


def table(samples: dict[str, flames.Stacks]) -> str:
    """Shares of all samples, in Markdown."""
    total = sum(stacks.total() for stacks in samples.values())
    lines = ["| | samples | share of all |", "|---|---|---|"]
    for role, stacks in samples.items():
        lines.append(f"| **{role}** | {stacks.total()} | {stacks.total() / total:.0%} |")
        counts: collections.Counter[str] = collections.Counter()
        for stack, count in stacks.items():
            counts[kind_of(role, stack)] += count
        lines += [f"| {kind} | {count} | {count / total:.1%} |" for kind, count in counts.most_common()]
    return "\n".join(lines)


def main() -> None:
    """Train, compile, transform once unseen and once looked at; print the table, write the graph."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["digits", "trees"], default="trees")
    parser.add_argument("--megabytes", type=int, default=600)
    parser.add_argument("--output", type=Path, default=FOLDER / "batch_profile.svg")
    options = parser.parse_args()
    subject = next(each for each in SUBJECTS if each.kind == options.only and each.framework)
    with tempfile.TemporaryDirectory(prefix="batch-profile-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "containers/model-serving", folder / "images/model-serving")
        shutil.copytree(ROOT / "benchmarks/batch_transform_image", folder / "images/batch-models")
        with local_server({}, "--containers", str(folder / "images")) as server:
            house = House(server.url, server.pid)
            features = 64 if subject.kind == "digits" else 30
            artefact = house.compile(house.train(subject.kind), str(subject.framework), features)
            rows = rows_of(subject.kind, options.megabytes * MEGABYTE)
            house.s3.upload_fileobj(rows, BUCKET, "data/rows.csv")
            data = f"s3://{BUCKET}/data/rows.csv"
            _, unseen = house.transform(artefact, data, 0)
            rates: list[float] = []
            job = threading.Thread(target=lambda: rates.append(house.transform(artefact, data, 0)[1]))
            job.start()
            workers: list[int] = []
            while job.is_alive() and len(workers) < 2:
                workers = busy_below(server.pid)
            pids = {SERVER: server.pid} | {f"worker {number}": pid for number, pid in enumerate(workers, 1)}
            seen = look(pids, folder)
            job.join()
    together: flames.Stacks = collections.Counter()
    for process, stacks in seen.items():
        if process != SERVER:
            together.update(stacks)
    samples = {WORKER: together, SERVER: seen[SERVER]}
    print(f"{subject.name}, {options.megabytes} MB\n\n{table(samples)}\n")
    print(f"rows/s: {unseen:,.0f} unseen, {rates[0]:,.0f} looked at\n{describe().line()}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    print(flames.draw(options.output, f"Batch transform: {subject.name}", samples))


if __name__ == "__main__":
    main()
