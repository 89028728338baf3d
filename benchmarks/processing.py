"""What a processing job costs beside its program: the same program on the local SageMaker and on plain files.

    .venv/bin/python -m benchmarks.processing            # 1 GB in 8 files, 5 rounds
    .venv/bin/python -m benchmarks.processing --quick    # 256 MB, 3 rounds: half a minute

The program reads every file below its input, a block at a time, and writes it to its output. Directly it is
run on local files; as a job its input comes from S3 (File mode) and its output goes there, durably. The third
peer is what that costs with a shell's tools: `cp` in, the program, `cp` out, `md5sum` for the ETag, `sync`.
All have read the same files before, so that they come from the page cache.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.batch_transform import BUCKET, MEGABYTE, House, memory_of
from benchmarks.local_server import REGISTRY, ROLE, local_server
from benchmarks.reporting import Report

FILES = 8
PROGRAM = '''#!/usr/bin/env python3
"""Copies the input's files to the output, a block at a time."""
import os, sys

source, target = sys.argv[1:] or ("/opt/ml/processing/input", "/opt/ml/processing/output")
for name in sorted(os.listdir(source)):
    with open(f"{source}/{name}", "rb") as given, open(f"{target}/{name}", "wb") as made:
        while block := given.read(1 << 20):
            made.write(block)
'''
DIRECT, SHELL, JOB = "program alone", "cp, program, cp, md5sum, sync", "processing job"
TIME = "from start to end"


def job(house: House, name: str) -> float:
    """Seconds from Create to Completed."""
    source = {
        "S3Uri": f"s3://{BUCKET}/data/",
        "LocalPath": "/opt/ml/processing/input",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    target = {
        "S3Uri": f"s3://{BUCKET}/out/{name}",
        "LocalPath": "/opt/ml/processing/output",
        "S3UploadMode": "EndOfJob",
    }
    request: dict[str, Any] = {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": f"{REGISTRY}/processing:latest",
            "ContainerEntrypoint": ["copy-files"],
        },
        "ProcessingInputs": [{"InputName": "input", "S3Input": source}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "output", "S3Output": target}]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
        },
    }
    started = time.perf_counter()
    house.sagemaker.create_processing_job(**request)
    house.until("processing", name)
    return time.perf_counter() - started


def direct(program: Path, source: Path, target: Path) -> float:
    """Seconds of the program itself."""
    target.mkdir()
    started = time.perf_counter()
    subprocess.run([sys.executable, program, source, target], check=True)
    took = time.perf_counter() - started
    shutil.rmtree(target)
    return took


def by_shell(program: Path, source: Path, work: Path) -> float:
    """Seconds of the program with the copies, the checksum and the durability that a job has too."""
    (work / "made").mkdir(parents=True)
    script = 'cp -r "$1" in && "$2" "$3" in made && cp -r made out && md5sum out/* > sums && sync -f out/*'
    started = time.perf_counter()
    subprocess.run(["sh", "-ec", script, "sh", source, sys.executable, program], cwd=work, check=True)
    took = time.perf_counter() - started
    shutil.rmtree(work)
    return took


def main() -> None:
    """Both sides in turns, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="256 MB and 3 rounds instead of 1 GB and 5")
    parser.add_argument("--megabytes", type=int)
    options = parser.parse_args()
    size = options.megabytes or (256 if options.quick else 1024)
    report = Report(
        "processing", f"A processing job of {size} MB in {FILES} files", DIRECT, quick=options.quick
    )
    with tempfile.TemporaryDirectory(prefix="processing-") as name:
        folder = Path(name)
        source, program = folder / "source", folder / "copy_files.py"
        source.mkdir()
        program.write_text(PROGRAM)
        block = os.urandom(MEGABYTE)
        for number in range(FILES):
            (source / f"part-{number}.bin").write_bytes(block * (size // FILES))
        with local_server({"processing": {"copy-files": PROGRAM}}) as server:
            house = House(server.url, server.pid)
            for path in sorted(source.iterdir()):
                house.s3.upload_file(str(path), BUCKET, f"data/{path.name}")
            measure(house, report, folder, size, rounds=3 if options.quick else 5)
    report.publish(chart=[TIME])


def measure(house: House, report: Report, folder: Path, size: int, rounds: int) -> None:
    """All peers in turns."""
    source, program = folder / "source", folder / "copy_files.py"
    times: dict[str, list[float]] = {DIRECT: [], SHELL: [], JOB: []}
    server, used, peak = psutil.Process(house.pid), [], 0.0
    idle = server.memory_info().rss / MEGABYTE
    direct(program, source, folder / "warm-up")
    for number in range(rounds):
        times[DIRECT].append(direct(program, source, folder / "target"))
        times[SHELL].append(by_shell(program, source, folder / "work"))
        before = sum(server.cpu_times()[:2])
        with memory_of(house.pid) as peaks:
            times[JOB].append(job(house, f"copy-{number}"))
        used.append(sum(server.cpu_times()[:2]) - before)
        peak = max(peak, peaks["server"])
        made = house.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"out/copy-{number}/")["Contents"]
        if sum(each["Size"] for each in made) != size // FILES * FILES * MEGABYTE:
            raise SystemExit(f"copy-{number} left {made}")
        for each in made:
            house.s3.delete_object(Bucket=BUCKET, Key=each["Key"])
    for peer, samples in times.items():
        report.add(TIME, peer, samples, unit="s", better="lower")
    report.aim("a processing job, beside the same by a shell", TIME, JOB, at_least=0.67, against=SHELL)
    report.add("the server's memory beyond idle, peak", JOB, [peak - idle], unit="MB", better="lower")
    report.add("the server's processor time", JOB, used, unit="s", better="lower")


if __name__ == "__main__":
    main()
