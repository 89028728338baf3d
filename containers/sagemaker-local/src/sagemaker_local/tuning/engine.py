"""Runs tuning jobs: training jobs one after another and side by side, across restarts of the server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sagemaker_local.calls import call
from sagemaker_local.errors import AwsError, ResourceInUse
from sagemaker_local.names import arn, now
from sagemaker_local.record_tasks import RecordTasks
from sagemaker_local.store import NotFound, Record
from sagemaker_local.tuning.objective import JOBS_WITHOUT_OBJECTIVE, best, is_satisfied
from sagemaker_local.tuning.record import ALIVE, KIND, Child, TuningRecord, lost
from sagemaker_local.tuning.search import Search

if TYPE_CHECKING:
    from sagemaker_local.services import Services

logger = logging.getLogger(__name__)

TRAINING = "training_job"

ALL_FAILED = "All training jobs failed. Please take a look at the training jobs failures to get more details."
NO_OBJECTIVE = (
    "No objective metrics found after running {count} training jobs. Please ensure that the custom algorithm "
    "is emitting the objective metric as defined by the regular expression provided."
)


class TuningEngine(RecordTasks):
    """Every tuning job that is not over has a task here.

    Args:
        services: The server's parts; training jobs are created through them as a client would.
    """

    kind, status_field, alive = KIND, "HyperParameterTuningJobStatus", ALIVE

    def __init__(self, services: Services) -> None:
        super().__init__(services.store)
        self.services = services

    def stop(self, name: str) -> None:
        """Have a tuning job stop, and the training jobs that it started."""
        TuningRecord(self.services, name).stop()
        self._call_to_stop(name)

    async def _live(self, name: str, stopping: asyncio.Event) -> None:
        """A tuning job from its creation, or from where an earlier server left it, to its end."""
        job = TuningRecord(self.services, name)
        try:
            await self._search(job, stopping)
        except Exception as error:  # a defect of ours: it ends as failed and says so
            logger.exception("tuning job '%s' failed in the local SageMaker", name)
            job.conclude("Failed", f"InternalServerError: the local SageMaker failed: {error!r}; see its log")
        status, reason = job.conclusion or ("Completed", None)
        job.end(status, reason)

    async def _search(self, job: TuningRecord, wake: asyncio.Event) -> None:
        search = job.search
        running: dict[asyncio.Task[None], Child] = {}
        self._conclude(job, search)
        for child in job.children:
            if child.summary is not None:
                continue
            if job.conclusion is not None and not self._exists(child):
                job.forget(child)
            elif await self._begin(job, search, child):
                running[self._follow(child)] = child
        while True:
            self._conclude(job, search)
            if job.conclusion is None:
                for child in self._plan(job, search, len(running)):
                    if not await self._begin(job, search, child):
                        break
                    running[self._follow(child)] = child
                job.count()
            if job.conclusion is not None:
                for child in running.values():
                    self._stop_child(child)
            if not running:
                return
            ended = await self._wait(job, set(running), wake)
            for task in ended:
                self._end_child(job, running.pop(task))

    def _plan(self, job: TuningRecord, search: Search, running: int) -> list[Child]:
        """Training jobs to begin now: those to begin again first, then new ones."""
        children = job.children
        again = job.retryable()
        begun = len({child.number for child in children})
        numbers = [*again, *range(begun, search.job_count)][: search.parallel_count - running]
        return [job.plan(number, *search.draw(number)) for number in numbers]

    async def _begin(self, job: TuningRecord, search: Search, child: Child) -> bool:
        """Create a training job as its plan says, unless an earlier server did; whether it is there."""
        tags = self.services.store.tags(job.read().arn)
        request = search.spaces[child.space].request(child.name, child.values, tags)
        try:
            await call(self.services, "CreateTrainingJob", request)
        except ResourceInUse:
            pass  # created before the server was killed
        except AwsError as error:
            job.conclude("Failed", f"{error.code}: {error.message}")
            return False
        tuning_arn = arn(self.services.settings, KIND, job.name)
        self.services.store.update(
            TRAINING, child.name, lambda record: record.document.update(TuningJobArn=tuning_arn)
        )
        return True

    def _exists(self, child: Child) -> bool:
        try:
            self.services.store.get(TRAINING, child.name)
        except NotFound:
            return False
        return True

    def _follow(self, child: Child) -> asyncio.Task[None]:
        return asyncio.create_task(self.services.jobs.ended(TRAINING, child.name))

    def _stop_child(self, child: Child) -> None:
        self.services.jobs.stop(TRAINING, child.name)

    async def _wait(
        self, job: TuningRecord, tasks: set[asyncio.Task[None]], wake: asyncio.Event
    ) -> set[asyncio.Task[None]]:
        """Training jobs that ended; returns early when the tuning job is stopped or its time is up."""
        record: Record = job.read()
        limit_s = record.private["request"]["HyperParameterTuningJobConfig"]["ResourceLimits"].get(
            "MaxRuntimeInSeconds"
        )
        timeout_s = None
        if limit_s is not None and job.conclusion is None:
            timeout_s = max(0.0, record.document["CreationTime"] + limit_s - now())
        woken = asyncio.create_task(wake.wait())
        try:
            done, _ = await asyncio.wait(
                {*tasks, woken}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise
        finally:
            woken.cancel()
        wake.clear()
        if not done:
            job.conclude("Completed")
        return {task for task in tasks if task in done}

    def _end_child(self, job: TuningRecord, child: Child) -> None:
        if not self._exists(child):
            child.summary = lost(self.services, child)
        job.end_child(child)

    def _conclude(self, job: TuningRecord, search: Search) -> None:
        """Decide whether the tuning job is to begin no further training jobs, and how it will end."""
        if job.conclusion is not None:
            return
        if job.status == "Stopping":
            job.conclude("Stopped")
            return
        ended = job.ended()
        config = job.read().private["request"]["HyperParameterTuningJobConfig"]
        criteria = config.get("TuningJobCompletionCriteria", {})
        if is_satisfied(criteria, search.spaces[0].objective, ended):
            job.conclude("Completed")
            return
        is_over = len({child.number for child in job.children}) >= search.job_count and not job.retryable()
        is_over = is_over and all(child.summary is not None for child in job.children)
        if best(ended) is None:
            completed = sum(1 for each in ended if each["TrainingJobStatus"] == "Completed")
            if completed >= JOBS_WITHOUT_OBJECTIVE or (is_over and completed):
                job.conclude("Failed", NO_OBJECTIVE.format(count=completed))
                return
            if is_over:
                job.conclude("Failed", ALL_FAILED)
                return
        if is_over:
            job.conclude("Completed")
