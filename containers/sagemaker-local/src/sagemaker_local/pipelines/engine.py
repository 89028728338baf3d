"""Executes pipelines: steps as they get ready, side by side, across restarts of the server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sagemaker_local.pipelines.graph import ready
from sagemaker_local.pipelines.record import ALIVE, EXECUTION, STEPS_ALIVE, ExecutionRecord
from sagemaker_local.pipelines.step_run import StepRun

if TYPE_CHECKING:
    from sagemaker_local.services import Services

logger = logging.getLogger(__name__)

PARALLEL_STEPS_DEFAULT = 50
"""Steps side by side when no ParallelismConfiguration says how many."""


class PipelineEngine:
    """Every execution that is not over has a task here.

    Args:
        services: The server's parts; steps create resources through them as a client would.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping: dict[str, asyncio.Event] = {}

    async def start(self) -> None:
        """Take up the executions that an earlier server left."""
        for record in self.services.store.list(EXECUTION):
            if record.document["PipelineExecutionStatus"] in ALIVE:
                self.submit(record.name)

    async def close(self) -> None:
        """Leave every execution as it is, for the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def submit(self, id: str) -> None:
        """Run an execution whose record is in the store; returns at once."""
        self._stopping[id] = asyncio.Event()
        task = asyncio.create_task(self._live(id), name=f"{EXECUTION} {id}")
        self._tasks[id] = task
        task.add_done_callback(lambda ended: self._forget(id, ended))

    def _forget(self, id: str, ended: asyncio.Task[None]) -> None:
        if self._tasks.get(id) is ended:  # not retried meanwhile
            del self._tasks[id], self._stopping[id]

    def stop(self, id: str) -> None:
        """Have an execution stop, and what its steps started."""
        ExecutionRecord(self.services, id).stop()
        if id in self._stopping:
            self._stopping[id].set()

    async def _live(self, id: str) -> None:
        """An execution from its start, or from where an earlier server left it, to its end."""
        record = ExecutionRecord(self.services, id)
        try:
            await self._execute(record, self._stopping[id])
        except Exception as error:
            logger.exception("pipeline execution '%s' failed in the local SageMaker", id)
            record.fail(f"InternalServerError: the local SageMaker failed: {error!r}; see its log")
        else:
            record.end()

    async def _execute(self, record: ExecutionRecord, stopping: asyncio.Event) -> None:
        if record.status == "Stopping":
            stopping.set()
        running = {
            asyncio.create_task(StepRun(record, name, stopping).run())
            for name, status in record.statuses().items()
            if status in STEPS_ALIVE
        }
        try:
            while True:
                for name in self._next(record, stopping, len(running)):
                    record.begin_step(name)
                    running.add(asyncio.create_task(StepRun(record, name, stopping).run()))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # a defect of a step ends the execution
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    @staticmethod
    def _next(record: ExecutionRecord, stopping: asyncio.Event, running: int) -> list[str]:
        """Steps to start now: none once one has failed or the execution is to stop."""
        statuses = record.statuses()
        if stopping.is_set() or {"Failed", "Stopped"} & set(statuses.values()):
            return []
        parallelism = record.read().document.get("ParallelismConfiguration", {})
        most = parallelism.get("MaxParallelExecutionSteps", PARALLEL_STEPS_DEFAULT)
        selected = record.read().private.get("selected")
        found = ready(record.definition.steps, statuses, record.outcomes())
        return [name for name in found if selected is None or name in selected][: max(0, most - running)]
