"""One run of one job: its hosts, its stop, its faults, and what it waits for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sagemaker_local.cloudwatch.metric_store import MetricStore
from sagemaker_local.executors.base import Executor, ImageError, Program, Source
from sagemaker_local.executors.process import remove_tree
from sagemaker_local.faults.plan import FaultPlan, JobFault
from sagemaker_local.jobs import cluster, host
from sagemaker_local.jobs.host import Host
from sagemaker_local.jobs.kinds import JobKind
from sagemaker_local.jobs.outcome import JobStopped, StopCause, capacity_error, client_error
from sagemaker_local.jobs.record import JobRecord
from sagemaker_local.jobs.warm_pool import WarmPools
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.names import now
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.container_log import ContainerLog
from sagemaker_local.settings import Settings
from sagemaker_local.store import Store

Answer = TypeVar("Answer")


class JobRun:
    """What the lifecycle of a job works with.

    Attributes:
        settings, store, objects, logs, executor, faults, warm_pools: The server's parts.
        kind: The kind of job.
        name: The job's name.
        record: Its durable record.
        directory: Below it everything of the job lies; removed at its end.
        number: Counts the server's jobs; makes the addresses of its hosts its own.
        stopped: The cause once the job is to stop.
        has_place: It is one of the jobs that run side by side.
        killed_at: When a program of it was ended by a signal, at the earliest; None when none was.
        hosts: Its instances.
        line_watchers: Called with every line that any host prints.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        objects: ObjectStore,
        logs: LogStore,
        executor: Executor,
        kind: JobKind,
        name: str,
        warm_pools: WarmPools,
        number: int = 0,
        faults: FaultPlan | None = None,
        metrics: MetricStore | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.objects = objects
        self.logs = logs
        self.executor = executor
        self.faults = faults or FaultPlan()
        self.metrics = metrics
        self.kind = kind
        self.name = name
        self.warm_pools = warm_pools
        self.number = number
        self.record = JobRecord(store, kind, name)
        self.directory = settings.data_dir / "jobs" / kind.kind / name
        self.stopped: StopCause | None = None
        self.has_place = False
        self.killed_at: float | None = None
        self.line_watchers: list[Callable[[str], None]] = []
        self.hosts: list[Host] = []
        self.abandoned = threading.Event()
        """Set when the job no longer wants what a thread still does for it."""
        self._stop = asyncio.Event()
        self._timers: dict[StopCause, asyncio.TimerHandle] = {}
        self._fault: JobFault | None = None
        self._logs: list[ContainerLog] = []

    @property
    def opt_ml(self) -> Path:
        """What the program on the first host sees as /opt/ml."""
        return self.leader.opt_ml

    @property
    def leader(self) -> Host:
        """The first host."""
        return self.hosts[0]

    @property
    def document(self) -> dict[str, Any]:
        """The Describe answer as it is now."""
        return self.record.read().document

    async def take_hosts(self) -> None:
        """Have fresh instances, each with its own log stream; those before are given back."""
        groups = host.groups_of(self.kind.cluster(self.document))
        at = int(now())
        self.hosts = []
        for number, (name, group) in enumerate(host.host_names(groups), start=1):
            log = ContainerLog(self.logs, self.kind.log_group, f"{self.name}/{name}-{at}")
            self._logs.append(log)
            address = host.address(self.number, number)
            interface = self.executor.network_interface
            self.hosts.append(Host(name, address, group, self.directory / name, log, interface))
        await asyncio.to_thread(self._make_directories)

    def _make_directories(self) -> None:
        remove_tree(self.directory)
        for each in self.hosts:
            each.opt_ml.mkdir(parents=True, exist_ok=True)

    def note_processes(self, pids: Sequence[int | None]) -> None:
        """Keep which process is the first of each host's program."""
        for each, pid in zip(self.hosts, pids, strict=False):
            each.pid = pid

    def log(self, line: str) -> None:
        """Take a line of the first host's output."""
        self.log_of(self.leader)(line)

    def log_of(self, of: Host) -> Callable[[str], None]:
        """Takes lines of a host's output."""

        def take(line: str) -> None:
            of.last_lines.append(line)
            for watch in self.line_watchers:
                watch(line)
            of.log.write(line)

        return take

    def begin(self, max_runtime_s: float | None) -> None:
        """Note the start and have the job stopped when its time is up.

        Raises:
            JobFailed: the fault plan says that there is no capacity.
        """
        self._fault = self.faults.job_fault(self.kind.kind, self.name)
        if self._fault is not None and self._fault.fault == "capacity":
            raise capacity_error()
        self.record.begin()
        if max_runtime_s is not None:
            self.stop_after(max_runtime_s, StopCause.MAX_RUNTIME)
        for each in self.hosts:
            if each.allotment.notice is not None:
                each.log.write(each.allotment.notice)

    def stop_after(self, seconds: float, cause: StopCause) -> None:
        """Have the job stopped then, in place of what was said before for this cause."""
        self.not_after(cause)
        loop = asyncio.get_running_loop()
        self._timers[cause] = loop.call_later(max(0.0, seconds), self.request_stop, cause)

    def not_after(self, cause: StopCause) -> None:
        """Take back :meth:`stop_after`."""
        if timer := self._timers.pop(cause, None):
            timer.cancel()

    def arm_fault(self) -> None:
        """The program runs: from now on counts the time after which the fault plan ends it."""
        if self._fault is None:
            return
        cause = {"die": StopCause.DIED, "spot": StopCause.INTERRUPTED}.get(self._fault.fault)
        spot = self.document.get("EnableManagedSpotTraining", False)
        if cause is StopCause.DIED or (cause is StopCause.INTERRUPTED and spot):
            self.stop_after(self._fault.after_s, cause)

    def request_stop(self, cause: StopCause) -> None:
        """Have the job stop at the next point where it can; the first final cause counts."""
        if self.stopped is None or (self.stopped.passes and not cause.passes):
            self.stopped = cause
        self._stop.set()

    def resume(self) -> None:
        """Go on after an interruption that passes.

        Raises:
            JobStopped: it was stopped for good meanwhile.
        """
        if self.stopped is not None and not self.stopped.passes:
            raise JobStopped(self.stopped)
        for cause in (StopCause.DIED, StopCause.INTERRUPTED):
            self.not_after(cause)
        self.stopped = None
        self._stop.clear()
        self.abandoned.clear()

    async def unless_stopped(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Do something that a stop interrupts at once.

        Raises:
            JobStopped: the job was stopped before the work was done.
        """
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self.stopped is None:
                return task.result()
            self.abandoned.set()
            raise JobStopped(self.stopped)
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    async def prepare(self, image: str | Source) -> None:
        """Make an image ready, its build's output in the job's log.

        Raises:
            JobFailed: it cannot be had or built.
            JobStopped: stopped meanwhile.
        """
        try:
            await self.unless_stopped(self.executor.prepare(image, self.log))
        except ImageError as error:
            raise client_error(str(error)) from error

    async def run(self, program: Program) -> cluster.Ended:
        """Run a program on the first host to its end; see :meth:`run_all`."""
        return await self.run_all([(self.leader, program)])

    async def run_all(self, programs: Sequence[tuple[Host, Program]]) -> cluster.Ended:
        """Run programs on the job's hosts to their end; see :func:`sagemaker_local.jobs.cluster.run`."""
        return await cluster.run(self, programs)

    async def close(self) -> None:
        """Write what is left of the logs."""
        for cause in list(self._timers):
            self.not_after(cause)
        for log in self._logs:
            await log.close()

    @property
    def stop_grace_s(self) -> float:
        """What a stopped program has to end by itself."""
        return 0.0 if self.stopped is StopCause.DIED else self.settings.stop_grace_s

    def seconds_since_creation(self) -> float:
        """How long ago the job was created."""
        return time.time() - float(self.document["CreationTime"])
