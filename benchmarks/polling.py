"""What it costs to wait: API calls, memory and processor of a triggerer with many deferred tasks.

    .venv/bin/python -m benchmarks.polling                        # 1,000 and 5,000 tasks: half an hour
    .venv/bin/python -m benchmarks.polling --tasks 200 --interval 2 --seconds 10

Ours beside the Amazon provider's deferrable training operator, each in a process of its own, both on the
same local SageMaker with as many training jobs in its queue, both looking every ``--interval`` seconds. A
process runs Airflow's own ``TriggerRunner.run_trigger`` for every task; there is no supervisor, so nothing is
stored in Airflow. Calls are counted where they leave the process, once every job has been looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import psutil

from benchmarks.local_server import REGION, REGISTRY, ROLE, ROOT, LocalServer, local_server
from benchmarks.reporting import Report

SLEEPER = "#!/bin/sh\nexec sleep 36000\n"
PEERS = ("airflow_sagemaker", "amazon provider")
CONNECTION_ID = "aws_sagemaker"
SETTLED_WITHIN_S = 900.0
"""Who has not looked at every job by then is measured as it is, and the table says so."""


def create_jobs(server: LocalServer, count: int) -> None:
    """Fill the queue."""
    client: Any = boto3.client(
        "sagemaker",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106  # the local server asks for none
    )
    for number in range(count):
        client.create_training_job(
            TrainingJobName=f"waiting-{number}",
            AlgorithmSpecification={"TrainingImage": f"{REGISTRY}/sleeper:1", "TrainingInputMode": "File"},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://models/waiting"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            StoppingCondition={"MaxRuntimeInSeconds": 86400},
        )


def trigger_of(peer: str, number: int, interval_s: int) -> Any:
    """The trigger that a deferred task of the peer leaves behind."""
    name = f"waiting-{number}"
    if peer == "amazon provider":
        from airflow.providers.amazon.aws.triggers.sagemaker import SageMakerTrigger

        return SageMakerTrigger(
            job_name=name,
            job_type="Training",
            waiter_delay=interval_s,
            waiter_max_attempts=10**6,
            aws_conn_id=CONNECTION_ID,
        )
    from airflow_sagemaker.kinds import TRAINING
    from airflow_sagemaker.triggers.job import JobTrigger

    return JobTrigger(
        kind=TRAINING.operation,
        job_name=name,
        aws_conn_id=CONNECTION_ID,
        region_name=None,
        poll_interval_s=interval_s,
        deadline_s=time.time() + 86400,
    )


def count_calls() -> Counter[str]:
    """Operation → calls, from now on."""
    from aiobotocore.httpsession import AIOHTTPSession  # type: ignore[import-untyped]

    calls: Counter[str] = Counter()
    send = AIOHTTPSession.send

    async def counting(self: Any, request: Any) -> Any:
        target = request.headers.get("X-Amz-Target", b"?")
        text = target.decode() if isinstance(target, bytes) else str(target)
        calls[text.rpartition(".")[2]] += 1
        return await send(self, request)

    AIOHTTPSession.send = counting
    return calls


async def wait_for_many(options: argparse.Namespace) -> dict[str, Any]:
    """Run the triggers as a triggerer does; figures of the time after all have had their first look."""
    from airflow.jobs.triggerer_job_runner import TriggerRunner

    calls = count_calls()
    runner = TriggerRunner()  # type: ignore[no-untyped-call]
    process = psutil.Process()
    before_mb = process.memory_info().rss / 1e6
    tasks, unsettled = [], ""
    started = time.monotonic()
    for number in range(options.count):
        trigger = trigger_of(options.peer, number, options.interval)
        details: Any = {"task": None, "is_watcher": False, "name": f"waiting-{number}", "events": 0}
        runner.triggers[number] = details
        tasks.append(asyncio.create_task(runner.run_trigger(number, trigger)))
    while calls["DescribeTrainingJob"] < options.count:
        await asyncio.sleep(1)
        waited_s = time.monotonic() - started
        if calls["ListTrainingJobs"] > 1 and waited_s > 3 * options.interval:
            break  # lists tell what describe calls would
        if waited_s > options.settle_s:
            unsettled = f"only {calls['DescribeTrainingJob']} of {options.count} jobs looked at so far"
            break
    settled_s = time.monotonic() - started
    await asyncio.sleep(options.interval)
    calls.clear()
    measured, busy = time.monotonic(), process.cpu_times()
    await asyncio.sleep(options.seconds)
    took_s, now = time.monotonic() - measured, process.cpu_times()
    figures = {
        "calls_per_minute": sum(calls.values()) / took_s * 60,
        "calls": dict(calls),
        "cpu_percent": (now.user + now.system - busy.user - busy.system) / took_s * 100,
        "rss_mb": process.memory_info().rss / 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "before_mb": before_mb,
        "settled_s": settled_s,
        "unsettled": unsettled,
        "ended": sum(task.done() for task in tasks),
    }
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return figures


def measure(server: LocalServer, peer: str, options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """One peer's triggers in a process of its own."""
    settings = {"bucket": "models", "role_arn": ROLE, "poll_interval_s": options.interval}
    connection = {
        "conn_type": "aws",
        "login": "local",
        "password": "not-a-secret",
        "extra": {"region_name": REGION, "endpoint_url": server.url, "sagemaker": settings},
    }
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "AWS"))},
        "AIRFLOW_HOME": str(home),
        f"AIRFLOW_CONN_{CONNECTION_ID.upper()}": json.dumps(connection),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": f"{ROOT / 'plugins'}{os.pathsep}{ROOT}",
    }
    command = [sys.executable, "-m", "benchmarks.polling", "--peer", peer, "--count", str(options.count)]
    command += ["--interval", str(options.interval), "--seconds", str(options.seconds)]
    command += ["--settle-s", str(options.settle_s)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=options.settle_s + 600, cwd=ROOT
    )
    if done.returncode:
        raise SystemExit(f"{peer} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def compare(options: argparse.Namespace) -> None:
    """Both peers for each number of tasks, one table."""
    title = f"Waiting tasks, a look every {options.interval} s, {options.seconds:.0f} s measured"
    packages = ["apache-airflow", "apache-airflow-providers-amazon"]
    report = Report("polling", title, "amazon provider", packages, quick=options.quick)
    for count in options.tasks:
        options.count = count
        with (
            local_server({"sleeper": {"train": SLEEPER}}, "--jobs", "1") as server,
            tempfile.TemporaryDirectory(prefix="polling-") as home,
        ):
            create_jobs(server, count)
            for peer in PEERS:
                figures = measure(server, peer, options, Path(home))
                grown = (figures["rss_mb"] - figures["before_mb"]) / count * 1000
                for measure_of, unit, figure in (
                    ("API calls", "a minute", figures["calls_per_minute"]),
                    ("CPU", "% of a core", figures["cpu_percent"]),
                    ("memory", "MB", figures["rss_mb"]),
                    ("memory above none", "MB for 1,000", grown),
                ):
                    report.add(f"{count} tasks, {measure_of}", peer, [figure], unit=unit, better="lower")
                report.note(f"{count} tasks, {peer}: {figures['calls']}")
                report.note(
                    f"{count} tasks, {peer}: {figures['unsettled'] or 'all looked at'} after "
                    f"{figures['settled_s']:.0f} s"
                )
                if figures["ended"]:
                    report.note(f"{figures['ended']} triggers of {peer} had ended")
        report.aim(f"fewer calls, {count} tasks", f"{count} tasks, API calls", PEERS[0], at_least=20)
    report.publish()


def main() -> None:
    """Compare, or be one of the compared."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="200 tasks, a look every 5 s, 20 s measured")
    parser.add_argument("--tasks", type=int, nargs="+", metavar="COUNT", help="default 1000 and 5000")
    parser.add_argument("--interval", type=int, help="seconds between two looks (default 30)")
    parser.add_argument("--seconds", type=float, help="length of the measurement (default 120)")
    parser.add_argument(
        "--settle-s", type=float, default=SETTLED_WITHIN_S, help="seconds for the first look at every job"
    )
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    tasks, interval, seconds = ([200], 5, 20.0) if options.quick else ([1000, 5000], 30, 120.0)
    options.tasks = options.tasks or tasks
    options.interval = options.interval or interval
    options.seconds = options.seconds or seconds
    if options.peer:
        print(json.dumps(asyncio.run(wait_for_many(options))))
    else:
        compare(options)


if __name__ == "__main__":
    main()
