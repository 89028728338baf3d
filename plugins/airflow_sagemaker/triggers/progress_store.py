"""What a deferred task has reached, kept where people and the next triggerer find it: an XCom of the task.

The triggerer has no task state store (``airflow/jobs/triggerer_job_runner.py``, ``ToTriggerSupervisor``), but
it may write and read XComs. Airflow removes a task's XComs when a new try starts, not when a deferred one
goes on (``airflow/api_fastapi/execution_api/routes/task_instances.py``, ``ti_run``).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom as XCom
from airflow.sdk.exceptions import AirflowRuntimeError

from airflow_sagemaker.names import UNMAPPED

log = logging.getLogger(__name__)

SAVE_LIMIT_S = 10.0
LOAD_TRIES = 5
LOAD_PAUSE_S = 2.0


class TaskXCom:
    """One small XCom of a task.

    :param task_instance: the trigger's own; None, as in ``dag.test()``, keeps nothing
    :param key: the XCom's
    """

    def __init__(self, task_instance: Any, key: str) -> None:
        self.task_instance = task_instance
        self.key = key

    @property
    def _address(self) -> dict[str, Any]:
        ti = self.task_instance
        return {
            "dag_id": ti.dag_id,
            "task_id": ti.task_id,
            "run_id": ti.run_id,
            "map_index": UNMAPPED if ti.map_index is None else ti.map_index,
        }

    async def load(self) -> Any:
        """What was saved; None where that is nothing, or Airflow's API does not answer for some seconds."""
        if self.task_instance is None:
            return None
        for _ in range(LOAD_TRIES):
            try:
                return await XCom.aget_one(key=self.key, **self._address)
            except AirflowRuntimeError as error:  # the database is away, most likely
                log.warning("XCom %s could not be read: %s", self.key, error)
                await asyncio.sleep(LOAD_PAUSE_S)
            except Exception:  # what is only a convenience must not end a wait
                log.exception("XCom %s could not be read", self.key)
                break
        return None

    async def save(self, value: Any, limit_s: float = SAVE_LIMIT_S) -> bool:
        """Save it; False where Airflow's API does not answer in time."""
        if self.task_instance is None:
            return False
        try:
            async with asyncio.timeout(limit_s):
                await XCom.aset(self.key, value, **self._address)
        except Exception as error:  # what is only a convenience must not end a wait
            log.debug("XCom %s could not be written: %r", self.key, error)
            return False
        return True
