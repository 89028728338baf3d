"""Executes pipelines: steps as they get ready, side by side, across restarts of the server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sagemaker_local.pipelines.graph import ready
from sagemaker_local.pipelines.record import ALIVE, EXECUTION, STEPS_ALIVE, ExecutionRecord
from sagemaker_local.pipelines.step_run import StepRun
from sagemaker_local.record_tasks import RecordTasks

if TYPE_CHECKING:
    from sagemaker_local.services import Services

logger = logging.getLogger(__name__)

PARALLEL_STEPS_DEFAULT = 50
"""Steps side by side when no ParallelismConfiguration says how many."""


class PipelineEngine(RecordTasks):
    """Every execution that is not over has a task here.

    Args:
        services: The server's parts; steps create resources through them as a client would.
    """

    kind, status_field, alive = EXECUTION, "PipelineExecutionStatus", ALIVE

    def __init__(self, services: Services) -> None:
        super().__init__(services.store)
        self.services = services

    def stop(self, id: str) -> None:
        """Have an execution stop, and what its steps started."""
        ExecutionRecord(self.services, id).stop()
        self._call_to_stop(id)

    async def _live(self, name: str, stopping: asyncio.Event) -> None:
        record = ExecutionRecord(self.services, name)
        try:
            await self._execute(record, stopping)
        except Exception as error:  # a defect of ours: it ends as failed and says so
            logger.exception("pipeline execution '%s' failed in the local SageMaker", name)
            record.fail(f"InternalServerError: the local SageMaker failed: {error!r}; see its log")
        else:
            record.end()

    async def _execute(self, record: ExecutionRecord, stopping: asyncio.Event) -> None:
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
