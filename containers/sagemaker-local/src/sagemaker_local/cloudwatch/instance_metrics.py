"""What instances use: processors, memory and disk of their processes, and requests under way in models.

As on AWS 100 % is one vCPU busy, and all memory of the instance type. Disk is that of the machine: instances
share it. Source: https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sagemaker_local.cloudwatch.invocations import NAMESPACE
from sagemaker_local.instances import GIB, instance_type

if TYPE_CHECKING:
    from sagemaker_local.services import Services

logger = logging.getLogger(__name__)

REQUESTS_INTERVAL_S = 1.0
PROCESSES_INTERVAL_S = 5.0
ENDPOINTS = "/aws/sagemaker/Endpoints"


@dataclass(frozen=True, slots=True)
class Watched:
    """A process tree that stands for an instance.

    Attributes:
        namespace, dimensions: Where its metrics go.
        pid: Its first process.
        memory_bytes: What its instance type has; None when that is not known.
    """

    namespace: str
    dimensions: Mapping[str, str]
    pid: int
    memory_bytes: float | None


class InstanceMetrics:
    """Samples all instances for as long as the server runs.

    Args:
        services: The server's parts.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cpu: dict[int, tuple[float, float]] = {}
        self._next_s = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to sample."""
        self._services.invocations.count_instances = self._count
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop sampling."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _count(self, endpoint: str, variant: str) -> int:
        fleet = self._services.endpoints.fleet(endpoint)
        return 1 if fleet is None else fleet.counts.get(variant, 1)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(REQUESTS_INTERVAL_S)
            try:
                self._sample_requests()
                if time.monotonic() >= self._next_s:
                    self._next_s = time.monotonic() + PROCESSES_INTERVAL_S
                    await asyncio.to_thread(self.sample, [*self._of_endpoints(), *self._of_jobs()])
            except Exception:  # one bad sample must not be the last
                logger.exception("instances were not sampled; tried again in %.0f s", REQUESTS_INTERVAL_S)

    def _sample_requests(self) -> None:
        for endpoint, traffic in self._services.endpoints.serving():
            for fleet in traffic.fleets:
                for variant in filter(fleet.serves, fleet.counts):
                    place = {"EndpointName": endpoint, "VariantName": variant}
                    for server in fleet.router.variant(variant).servers:
                        self._services.metrics.put(
                            NAMESPACE, "ConcurrentRequestsPerModel", place, float(server.outstanding)
                        )

    def _of_endpoints(self) -> Iterator[Watched]:
        for endpoint, traffic in self._services.endpoints.serving():
            for fleet in traffic.fleets:
                types = {variant.name: variant.instance_type for variant in fleet.plan.variants}
                for instance in fleet.instances():
                    if instance.pid is not None:
                        place = {"EndpointName": endpoint, "VariantName": instance.variant}
                        yield Watched(
                            ENDPOINTS, place, instance.pid, memory_bytes(types.get(instance.variant))
                        )

    def _of_jobs(self) -> Iterator[Watched]:
        for namespace, host, type_, pid in self._services.jobs.instances():
            yield Watched(namespace, {"Host": host}, pid, memory_bytes(type_))

    def sample(self, watched: list[Watched]) -> None:
        """Publish what each process tree uses now."""
        disk = shutil.disk_usage(self._services.settings.data_dir)
        used = usage({each.pid for each in watched}) if watched else {}
        at = time.monotonic()
        for each in watched:
            if (found := used.get(each.pid)) is None:
                continue
            cpu_s, rss_bytes = found
            values = {"DiskUtilization": 100.0 * disk.used / disk.total}
            if each.memory_bytes:
                values["MemoryUtilization"] = 100.0 * rss_bytes / each.memory_bytes
            if (before := self._cpu.get(each.pid)) is not None and at > before[0]:
                values["CPUUtilization"] = 100.0 * max(0.0, cpu_s - before[1]) / (at - before[0])
            self._cpu[each.pid] = (at, cpu_s)
            for name, value in values.items():
                self._services.metrics.put(each.namespace, name, each.dimensions, value, "Percent")
        self._cpu = {pid: known for pid, known in self._cpu.items() if pid in used}


def memory_bytes(type_: str | None) -> float | None:
    """The memory of an instance type, or None for none that is known."""
    try:
        return None if type_ is None else instance_type(type_).memory_gib * GIB
    except (KeyError, ValueError):
        return None


def usage(pids: Iterable[int]) -> dict[int, tuple[float, float]]:
    """Processor seconds and resident bytes of processes with all below them; without those that are gone."""
    import psutil  # not before there is something to sample

    below: dict[int, list[int]] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            below.setdefault(process.ppid(), []).append(process.pid)
    found = {}
    for first in pids:
        cpu_s = rss_bytes = 0.0
        waiting, there = [first], False
        while waiting:
            pid = waiting.pop()
            waiting += below.get(pid, ())
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                times = process.cpu_times()
                # Of processes that ended below, their parents count the time.
                cpu_s += times.user + times.system + times.children_user + times.children_system
                rss_bytes += process.memory_info().rss
                there = True
        if there:
            found[first] = (cpu_s, rss_bytes)
    return found
