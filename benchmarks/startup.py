"""How long people wait for the local SageMaker: a job's start, an endpoint's start, describe and list calls.

    .venv/bin/python -m benchmarks.startup             # about a minute
    .venv/bin/python -m benchmarks.startup --quick     # a third of it

A job's start is the time from the answer of CreateTrainingJob to the first act of its program, which writes
the time. An endpoint's start is the time from CreateEndpoint to InService, beside the own start of the same
serving program (from exec to its first good /ping); rounds of both alternate. Calls are made over kept
connections by a caller that is cheap itself.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.callers import Rate, measure
from benchmarks.local_server import REGISTRY, ROLE, local_server
from benchmarks.reporting import Report

TRAIN = "#!/bin/sh\nexec date +%s.%N\n"
SERVE = '''#!/usr/bin/env python3
"""A model server of the standard library: answers /ping, and nothing else takes it time."""
import http.server, os, socketserver


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


socketserver.TCPServer.allow_reuse_address = True
port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''

JOB, OWN, ENDPOINT, SERVER = "job", "container alone", "endpoint", "local SageMaker"


class Api:
    """SageMaker and its logs over one kept connection, without what an SDK adds."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port)

    def call(self, operation: str, prefix: str = "SageMaker", **request: Any) -> Any:
        """One call; its answer."""
        headers = {"X-Amz-Target": f"{prefix}.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        self._connection.request("POST", "/", json.dumps(request), headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{operation}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    def s3(self, method: str, path: str) -> None:
        """A call of S3 without a body."""
        self._connection.request(method, path)
        self._connection.getresponse().read()

    def create_training_job(self, name: str) -> None:
        """A job of the image that tells the time."""
        self.call(
            "CreateTrainingJob",
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": f"{REGISTRY}/clock:1", "TrainingInputMode": "File"},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://startup/out"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )

    def follow(self, operation: str, field: str, wanted: str, **request: str) -> float:
        """Ask until a status is reached; seconds that it took."""
        started = time.perf_counter()
        while (status := self.call(operation, **request)[field]) != wanted:
            if status in ("Failed", "Stopped"):
                raise RuntimeError(f"{request} is {status}")
            time.sleep(0.004)
        return time.perf_counter() - started


def job_start_s(api: Api, name: str) -> float:
    """Seconds from the answer of CreateTrainingJob to the program's first act."""
    api.create_training_job(name)
    created = time.time()
    # Not asked while it starts: what is measured is the start, not how it fares beside our questions.
    time.sleep(0.5)
    api.follow("DescribeTrainingJob", "TrainingJobStatus", "Completed", TrainingJobName=name)
    group = {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamNamePrefix": f"{name}/"}
    events = api.call("FilterLogEvents", "Logs_20140328", **group)["events"]
    return next(float(text) for each in events if (text := str(each["message"])).startswith("1")) - created


def own_start_s(program: Path) -> float:
    """Seconds from a serving program's exec to its first good /ping, asked as often as is possible."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    started = time.perf_counter()
    process = subprocess.Popen([str(program)], env=environment)
    try:
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request("GET", "/ping")
                if connection.getresponse().status == 200:
                    return time.perf_counter() - started
            except ConnectionRefusedError:
                time.sleep(0.001)
    finally:
        process.kill()
        process.wait()


def endpoint_start_s(api: Api, name: str) -> float:
    """Seconds from the call of CreateEndpoint to InService."""
    started = time.perf_counter()
    api.call("CreateEndpoint", EndpointName=name, EndpointConfigName="startup")
    api.follow("DescribeEndpoint", "EndpointStatus", "InService", EndpointName=name)
    took_s = time.perf_counter() - started
    api.call("DeleteEndpoint", EndpointName=name)
    return took_s


def prepare(api: Api) -> None:
    """What both need once: a bucket, a model, a config, and the environment of the image."""
    api.s3("PUT", "/startup")
    api.call(
        "CreateModel",
        ModelName="startup",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": f"{REGISTRY}/clock:1"},
    )
    variant = {"VariantName": "all", "ModelName": "startup", "InitialInstanceCount": 1}
    api.call(
        "CreateEndpointConfig",
        EndpointConfigName="startup",
        ProductionVariants=[{**variant, "InstanceType": "ml.m5.large", "InitialVariantWeight": 1}],
    )


@contextmanager
def serving_program() -> Iterator[Path]:
    """The serving program as a file of its own."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        program = Path(folder) / "serve"
        program.write_text(SERVE)
        program.chmod(0o755)
        yield program


def fill(api: Api, count: int) -> list[str]:
    """So many further jobs, ended, so that lists have pages; their names."""
    names = [f"filler-{number:04}" for number in range(count)]
    for name in names:
        api.create_training_job(name)
    for name in names:
        api.follow("DescribeTrainingJob", "TrainingJobStatus", "Completed", TrainingJobName=name)
    return names


def calls(
    url: str, jobs: list[str], *, seconds: float, rounds: int, connections: int
) -> dict[str, list[Rate]]:
    """Describe and list calls, in turn."""
    plans: Mapping[str, list[Mapping[str, object]]] = {
        "DescribeTrainingJob": [{"TrainingJobName": name} for name in jobs],
        "ListTrainingJobs, 10 a page": [{"MaxResults": 10}],
        "ListTrainingJobs, 100 a page": [{"MaxResults": 100}],
    }
    found: dict[str, list[Rate]] = {name: [] for name in plans}
    for _ in range(rounds):
        for name, bodies in plans.items():
            target = f"SageMaker.{name.partition(',')[0]}"
            rate = measure(url, target, bodies, connections=connections, seconds=seconds)
            if rate.errors:
                raise RuntimeError(f"{name}: {rate.errors} calls were not answered with 200")
            found[name].append(rate)
    return found


def memory_mb(pid: int) -> float:
    """Resident memory of the server."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--starts", type=int, help="jobs and endpoints (default: 21, quick 9)")
    parser.add_argument("--jobs", type=int, help="that lists go through (default: 300, quick 100)")
    parser.add_argument("--seconds", type=float, help="of each run of calls (default: 3, quick 1)")
    parser.add_argument("--connections", type=int, default=8, help="of the caller (default: %(default)s)")
    parser.add_argument("--executor", default="auto", help="of the server (default: %(default)s)")
    options = parser.parse_args()
    starts = options.starts or (9 if options.quick else 21)
    seconds = options.seconds or (1.0 if options.quick else 3.0)
    report = Report(
        "startup", "Waiting for the local SageMaker", OWN, ["botocore", "uvicorn"], quick=options.quick
    )
    images = {"clock": {"train": TRAIN, "serve": SERVE}}
    with local_server(images, "--executor", options.executor) as server, serving_program() as program:
        report.add("server, start to ready", SERVER, [server.start_s], unit="s", better="lower")
        report.add("server, idle memory", SERVER, [memory_mb(server.pid)], unit="MB", better="lower")
        api = Api(server.url)
        prepare(api)
        job_start_s(api, "first")  # builds the environment of the image, imports what is imported once
        jobs = [job_start_s(api, f"startup-{number}") * 1000 for number in range(starts)]
        endpoint_start_s(api, "first")
        pairs = [(own_start_s(program), endpoint_start_s(api, f"e-{number}")) for number in range(starts)]
        names = fill(api, options.jobs or (100 if options.quick else 300))
        rates = calls(server.url, names, seconds=seconds, rounds=3, connections=options.connections)
        report.add("server, memory in the end", SERVER, [memory_mb(server.pid)], unit="MB", better="lower")
    start, up, over = "Create to first act", "start to /ping or InService", "over the container's own start"
    report.add(start, JOB, jobs, unit="ms", better="lower")
    report.add(up, OWN, [own * 1000 for own, _ in pairs], unit="ms", better="lower")
    report.add(up, ENDPOINT, [whole * 1000 for _, whole in pairs], unit="ms", better="lower")
    report.add(over, ENDPOINT, [(whole - own) * 1000 for own, whole in pairs], unit="ms", better="lower")
    report.aim_at("a job's start", start, JOB, at_most=100)
    report.aim_at("an endpoint's start", over, ENDPOINT, at_most=500)
    for name, each in rates.items():
        report.add(name, SERVER, [rate.per_s for rate in each], unit="calls/s")
        report.add(f"{name}, p99", SERVER, [rate.p99_ms for rate in each], unit="ms", better="lower")
        report.aim_at(name, name, SERVER, at_least=2000)
    report.note(f"{len(names)} jobs in the list; calls over {options.connections} kept connections.")
    report.publish()


if __name__ == "__main__":
    main()
