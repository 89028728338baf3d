"""Many clients at once on the local SageMaker: queued jobs, describe calls, S3 traffic, invocations.

    .venv/bin/python -m benchmarks.load                    # the whole: a minute and a half
    .venv/bin/python -m benchmarks.load --jobs 50 --seconds 5 --describes 20 --megabytes 5 --invocations 50

Starts a server of its own on a directory of its own; the clients are a process of theirs. Every call is
due at a fixed time (open loop): a server that is too slow shows as latency and a lower rate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil

from benchmarks.local_server import REGISTRY, ROLE, local_server

OBJECT_BYTES = 2 * 1024 * 1024
TRAIN = "#!/bin/sh\nexec sleep 3600\n"
SERVE = '''#!/usr/bin/env python
"""Answers everything with 200, as cheaply as Python can."""
import asyncio, os

ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-type: text/csv\\r\\ncontent-length: 2\\r\\n\\r\\nok"


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def data_received(self, data):
        self.buffer += data
        while b"\\r\\n\\r\\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\\r\\n\\r\\n")
            length = 0
            for line in head.split(b"\\r\\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.transport.write(ANSWER)


async def main():
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
'''


@dataclass
class Calls:
    """One kind of call: how often it is due, and what came of it."""

    name: str
    per_s: float
    made: int = 0
    errors: int = 0
    bytes: int = 0
    latencies_s: list[float] = field(default_factory=list)
    first_error: str = ""

    def summary(self, seconds: float) -> dict[str, Any]:
        """Figures of a run."""
        ordered = sorted(self.latencies_s) or [0.0]
        return {
            "due_per_s": self.per_s,
            "done_per_s": round(self.made / seconds, 1),
            "errors": self.errors,
            "first_error": self.first_error,
            "mb_per_s": round(self.bytes / seconds / 1e6, 1),
            "p50_ms": round(statistics.median(ordered) * 1000, 1),
            "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 1),
            "max_ms": round(ordered[-1] * 1000, 1),
        }


class Clients:
    """Calls in the cheapest form that the server takes: unsigned, on kept connections."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session
        self.body = os.urandom(OBJECT_BYTES)
        self.numbers = iter(range(10**9))

    async def api(self, operation: str, **request: Any) -> Any:
        """A call of SageMaker."""
        headers = {"X-Amz-Target": f"SageMaker.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        async with self.session.post(self.url, data=json.dumps(request), headers=headers) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise RuntimeError(f"{operation}: {answer.status} {text[:300]}")
            return json.loads(text)

    async def s3(self, method: str, path: str, data: bytes | None = None) -> int:
        """A call of S3; how many bytes went either way."""
        async with self.session.request(method, f"{self.url}/{path}", data=data) as answer:
            size = len(await answer.read()) + len(data or b"")
            if answer.status not in (200, 204, 206):
                raise RuntimeError(f"{method} {path}: {answer.status}")
            return size

    async def describe(self) -> int:
        """DescribeTrainingJob of one after the other; every 50th call lists instead."""
        number = next(self.numbers)
        if number % 50 == 0:
            await self.api("ListTrainingJobs", MaxResults=100)
        else:
            await self.api("DescribeTrainingJob", TrainingJobName=f"load-{number % self.jobs}")
        return 0

    jobs = 1

    async def traffic(self) -> int:
        """Puts and gets in turn, over a few keys."""
        number = next(self.numbers)
        key = f"load/{number // 2 % 16}"
        if number % 2 == 0:
            return await self.s3("PUT", key, self.body)
        return await self.s3("GET", key)

    async def invoke(self) -> int:
        """InvokeEndpoint."""
        path = f"{self.url}/endpoints/load/invocations"
        async with self.session.post(path, data=b"1,2,3", headers={"Content-Type": "text/csv"}) as answer:
            if answer.status != 200:
                raise RuntimeError(f"invocation: {answer.status} {(await answer.text())[:300]}")
            return len(await answer.read())


async def keep_up(calls: Calls, call: Callable[[], Awaitable[int]], seconds: float) -> None:
    """Make each call at its time, whether or not those before it are answered."""
    if calls.per_s <= 0:
        return
    tasks: set[asyncio.Task[None]] = set()
    started = time.perf_counter()

    async def one() -> None:
        due = time.perf_counter()
        try:
            size = await call()
            calls.bytes += size
            calls.made += 1
            calls.latencies_s.append(time.perf_counter() - due)
        except Exception as error:  # whatever it is, it is counted
            calls.errors += 1
            calls.first_error = calls.first_error or f"{type(error).__name__}: {error}"

    for number in range(int(calls.per_s * seconds)):
        wait_s = started + number / calls.per_s - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        task = asyncio.create_task(one())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def prepare(clients: Clients, jobs: int) -> float:
    """The bucket, the endpoint and the queue; how many jobs were created in a second."""
    await clients.s3("PUT", "load")
    for number in range(16):
        await clients.s3("PUT", f"load/{number}", clients.body)
    await clients.api("CreateModel", ModelName="load", ExecutionRoleArn=ROLE,
                      PrimaryContainer={"Image": f"{REGISTRY}/load:1"})  # fmt: skip
    variant = {
        "VariantName": "v",
        "ModelName": "load",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    await clients.api("CreateEndpointConfig", EndpointConfigName="load", ProductionVariants=[variant])
    await clients.api("CreateEndpoint", EndpointName="load", EndpointConfigName="load")
    waiting = True
    while waiting:
        described = await clients.api("DescribeEndpoint", EndpointName="load")
        waiting = described["EndpointStatus"] != "InService"
        await asyncio.sleep(0.1)
    started = time.perf_counter()
    for number in range(jobs):
        await clients.api(
            "CreateTrainingJob",
            TrainingJobName=f"load-{number}",
            AlgorithmSpecification={"TrainingImage": f"{REGISTRY}/load:1", "TrainingInputMode": "File"},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://load/models"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            StoppingCondition={"MaxRuntimeInSeconds": 3600},
        )
    return jobs / max(time.perf_counter() - started, 1e-9)


async def drive(url: str, options: argparse.Namespace) -> dict[str, Any]:
    """All clients at once; figures of each kind."""
    connector = aiohttp.TCPConnector(limit=256)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(120)) as session:
        clients = Clients(url, session)
        clients.jobs = max(options.jobs, 1)
        created_per_s = await prepare(clients, options.jobs)
        kinds = {
            "describe": (Calls("describe", options.describes if options.jobs else 0), clients.describe),
            "s3": (Calls("s3", options.megabytes * 1e6 / OBJECT_BYTES), clients.traffic),
            "invoke": (Calls("invoke", options.invocations), clients.invoke),
        }
        started = time.perf_counter()
        await asyncio.gather(*(keep_up(calls, call, options.seconds) for calls, call in kinds.values()))
        took_s = time.perf_counter() - started
    figures = {name: calls.summary(max(took_s, options.seconds)) for name, (calls, _) in kinds.items()}
    return {"jobs_created_per_s": round(created_per_s, 1), "took_s": round(took_s, 1), **figures}


def client_process(url: str, options: argparse.Namespace, pipe: Any) -> None:
    """The clients, apart from the one who watches the server."""
    try:
        pipe.send(asyncio.run(drive(url, options)))
    except Exception as error:
        pipe.send({"failed": f"{type(error).__name__}: {error}"})


class Memory(threading.Thread):
    """Watches the server's memory."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.most = 0

    def run(self) -> None:
        """Look five times a second until the server is gone."""
        while True:
            try:
                self.most = max(self.most, self.process.memory_info().rss)
            except psutil.Error:
                return
            time.sleep(0.2)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """A server, its clients, and the figures."""
    with local_server({"load": {"train": TRAIN, "serve": SERVE}}, "--jobs", "2") as server:
        process = psutil.Process(server.pid)
        idle = process.memory_info().rss
        memory = Memory(server.pid)
        memory.start()
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        client = context.Process(target=client_process, args=(server.url, options, theirs))
        client.start()
        figures: dict[str, Any] = mine.recv()
        client.join()
        after = process.memory_info().rss
        times = process.cpu_times()
        text = server.log.read_text(errors="replace")
        figures |= {
            "start_s": round(server.start_s, 2),
            "server_cpu_s": round(times.user + times.system, 1),
            "rss_idle_mb": round(idle / 1e6),
            "rss_most_mb": round(memory.most / 1e6),
            "rss_after_mb": round(after / 1e6),
            "tracebacks": text.count("Traceback"),
        }
        return figures


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; 1 when a call failed."""
    parser = argparse.ArgumentParser(description="Load on the local SageMaker.")
    parser.add_argument("--jobs", type=int, default=1000, help="training jobs in the queue")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the load")
    parser.add_argument("--describes", type=float, default=200.0, help="describe calls a second")
    parser.add_argument(
        "--megabytes", type=float, default=50.0, help="S3 traffic a second, half puts, half gets"
    )
    parser.add_argument("--invocations", type=float, default=500.0, help="invocations a second")
    figures = run(parser.parse_args(arguments))
    print(json.dumps(figures, indent=2))
    kinds = [value for value in figures.values() if isinstance(value, dict)]
    return int("failed" in figures or figures["tracebacks"] > 0 or any(kind["errors"] for kind in kinds))


if __name__ == "__main__":
    raise SystemExit(main())
