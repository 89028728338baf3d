"""Runs jobs: as many side by side as the settings allow, each to its end, across restarts of the server."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Mapping

from sagemaker_local.cloudwatch.metric_store import MetricStore
from sagemaker_local.executors.base import Executor
from sagemaker_local.executors.process import remove_tree
from sagemaker_local.faults.plan import FaultPlan
from sagemaker_local.jobs import compilation, processing, training, transform
from sagemaker_local.jobs.host import ADDRESSED_JOBS
from sagemaker_local.jobs.kinds import KINDS, JobKind
from sagemaker_local.jobs.outcome import JobFailed, JobStopped, StopCause, internal_error
from sagemaker_local.jobs.record import JobRecord
from sagemaker_local.jobs.run import JobRun
from sagemaker_local.jobs.warm_pool import WarmPools, keep_alive_s
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.settings import Settings
from sagemaker_local.store import Record, Store

logger = logging.getLogger(__name__)

LIFECYCLES: Mapping[str, Callable[[JobRun], Awaitable[None]]] = {
    "processing_job": processing.run_processing_job,
    "training_job": training.run_training_job,
    "compilation_job": compilation.run_compilation_job,
    "transform_job": transform.run_transform_job,
}

INTERRUPTED = (
    "InternalServerError: the local SageMaker ended while the job was running. "
    "Create it again under a new name"
)


class JobEngine:
    """Every job that is not over has a task here.

    Args:
        settings: Says how many jobs run side by side.
        store: Their records.
        objects: Their inputs and outputs.
        logs: Their output.
        executor: Runs their programs.
        faults: What is to go wrong on request.
        metrics: Takes what jobs publish of themselves.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        objects: ObjectStore,
        logs: LogStore,
        executor: Executor,
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
        self.warm_pools = WarmPools(store, settings.data_dir / "warm-pools")
        # Anywhere: another server on this machine must not give its jobs' hosts the same addresses.
        self._numbers = itertools.count(random.randrange(ADDRESSED_JOBS))
        self._places = asyncio.Semaphore(settings.max_running_jobs)
        self._runs: dict[tuple[str, str], JobRun] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Take up what an earlier server left: jobs whose program had started are over, others run."""
        for leftovers in ("jobs", "transform"):
            await asyncio.to_thread(remove_tree, self.settings.data_dir / leftovers)
        self._settle()
        self.warm_pools.start()
        waiting = [(record.document["CreationTime"], kind, record.name) for kind, record in self._alive()]
        for _, kind, name in sorted(waiting, key=lambda entry: entry[0]):
            JobRecord(self.store, kind, name).restart()
            self.submit(kind.kind, name)

    async def close(self) -> None:
        """Kill what runs; jobs whose program had started are over, the others wait for the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.warm_pools.close()
        self._settle()

    def submit(self, kind: str, name: str) -> None:
        """Run a job whose record is in the store; returns at once."""
        run = JobRun(
            settings=self.settings,
            store=self.store,
            objects=self.objects,
            logs=self.logs,
            executor=self.executor,
            warm_pools=self.warm_pools,
            faults=self.faults,
            metrics=self.metrics,
            kind=KINDS[kind],
            name=name,
            number=next(self._numbers),
        )
        key = (kind, name)
        self._runs[key] = run
        task = asyncio.create_task(self._live(run), name=f"{kind} {name}")
        self._tasks[key] = task
        task.add_done_callback(lambda ended: self._forget(key, ended))

    def _forget(self, key: tuple[str, str], ended: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is ended:  # not deleted and created anew meanwhile
            del self._tasks[key]
            self._runs.pop(key, None)  # its end took it out already, had it one

    def instances(self) -> list[tuple[str, str, str, int]]:
        """What runs: log group, ``<job>/<host>``, instance type and process id of each host of each job."""
        return [
            (run.kind.log_group, f"{run.name}/{host.name}", host.group.instance_type, host.pid)
            for run in self._runs.values()
            for host in run.hosts
            # What has ended has given its number back.
            if host.pid is not None and not host.program_ended
        ]

    def stop(self, kind: str, name: str) -> None:
        """Have a job stop; its record says so at once, and how it ended later."""
        run = self._runs.get((kind, name))
        if run is not None and run.stopped is None:
            run.record.stopping()
            run.request_stop(StopCause.REQUEST)

    async def ended(self, kind: str, name: str) -> None:
        """Return once a job's record is over; at once when it is already, or when there is none."""
        task = self._tasks.get((kind, name))
        if task is not None:
            await asyncio.wait({task})

    async def _live(self, run: JobRun) -> None:
        """A job from its creation to its end, whatever happens."""
        try:
            end = await self._outcome(run)
        finally:
            run.abandoned.set()
            await run.close()
            await asyncio.to_thread(remove_tree, run.directory)
        # A stop in the moment of its end finds nothing to stop: nobody would end the job a second time.
        self._runs.pop((run.kind.kind, run.name), None)
        end()  # last, so that who sees the end also sees all of the log and no leftovers
        if run.kind is KINDS["training_job"]:
            self.warm_pools.release(run.name)

    async def _outcome(self, run: JobRun) -> Callable[[], None]:
        """Live the job; what to write into its record when it is over."""
        statuses = run.kind.statuses
        try:
            await self._in_place(run)
            return lambda: run.record.end(statuses.completed, secondary="Completed")
        except JobStopped as stop:
            cause = stop.cause
            if not cause.passes:
                return lambda: self._end_stopped(run, cause)
            reason = str(internal_error())
        except JobFailed as failure:
            reason = str(failure)
        except Exception as error:  # a defect of ours: it ends as failed and says so
            logger.exception("%s '%s' failed in the local SageMaker", run.kind.words, run.name)
            reason = f"InternalServerError: the local SageMaker failed: {error!r}; see its log"
        return lambda: run.record.end(statuses.failed, secondary="Failed", reason=reason)

    async def _in_place(self, run: JobRun) -> None:
        if self._places.locked():
            run.record.secondary("Pending")
        try:
            _limit_waiting(run)
            await run.unless_stopped(_take_place(self._places, run))
            run.not_after(StopCause.MAX_PENDING)
            if run.kind is KINDS["training_job"] and keep_alive_s(run.document):
                await asyncio.to_thread(self.warm_pools.take, run.name, run.document)
            await run.take_hosts()
            await LIFECYCLES[run.kind.kind](run)
        finally:
            if run.has_place:
                self._places.release()

    @staticmethod
    def _end_stopped(run: JobRun, cause: StopCause) -> None:
        statuses = run.kind.statuses
        if cause is StopCause.REQUEST:
            run.record.end(statuses.stopped, secondary="Stopped")
        elif cause is StopCause.MAX_WAIT:
            run.record.end(statuses.stopped, secondary="MaxWaitTimeExceeded")
        elif cause is StopCause.MAX_RUNTIME and run.kind is KINDS["training_job"]:
            run.record.end(statuses.stopped, secondary="MaxRuntimeExceeded")
        else:
            field = "MaxPendingTimeInSeconds" if cause is StopCause.MAX_PENDING else "MaxRuntimeInSeconds"
            limit = run.document.get("StoppingCondition", {}).get(field)
            did = "waited for a place" if cause is StopCause.MAX_PENDING else "ran"
            reason = f"ClientError: the {run.kind.words} {did} longer than {field} ({limit})"
            if run.kind is KINDS["compilation_job"]:
                run.record.end(statuses.failed, secondary="Failed", reason=reason)
            else:
                run.record.end(statuses.stopped, secondary="Stopped", reason=reason)

    def _settle(self) -> None:
        """End the jobs whose program is no more because its server is no more."""
        for kind, record in self._alive():
            job = JobRecord(self.store, kind, record.name)
            if record.document[kind.status_field] == kind.statuses.stopping:
                job.end(kind.statuses.stopped, secondary="Stopped")
            elif record.private.get("started") and not job.retry(_retries(record)):
                job.end(kind.statuses.failed, secondary="Failed", reason=INTERRUPTED)

    def _alive(self) -> list[tuple[JobKind, Record]]:
        return [
            (kind, record)
            for kind in KINDS.values()
            for record in self.store.list(kind.kind)
            if record.document[kind.status_field] in kind.statuses.alive
        ]


def _retries(record: Record) -> int:
    """How often RetryStrategy has a job tried again that the service failed."""
    return int(record.document.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0))


def _limit_waiting(run: JobRun) -> None:
    """Have the job stopped when it waits too long: for a place, or with that for spot instances."""
    condition = run.document.get("StoppingCondition", {})
    for field, cause in (
        ("MaxPendingTimeInSeconds", StopCause.MAX_PENDING),
        ("MaxWaitTimeInSeconds", StopCause.MAX_WAIT),
    ):
        if field in condition:
            run.stop_after(condition[field] - run.seconds_since_creation(), cause)


async def _take_place(places: asyncio.Semaphore, run: JobRun) -> None:
    await places.acquire()
    run.has_place = True  # noted here, so that a stop in the same moment does not lose the place
