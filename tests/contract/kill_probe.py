"""An operator in a worker's process, with Airflow's signal handler, but without Airflow around it.

``kill_probe.py <window>``: says on standard output what it is about to do, then how it ended.
"""

from __future__ import annotations

import signal
import sys
import time
from types import SimpleNamespace
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred

from airflow_sagemaker.errors import JobStoppedError
from airflow_sagemaker.operators.training import TrainingJobOperator
from airflow_sagemaker.specs.training import TrainingJob

PAUSE_S = 60.0
"""The signal ends it: only a test that never sends one waits so long."""


class Store(dict[str, Any]):
    """The state store; slow, where the kill is to meet it."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value
        linger("before create")


def linger(window: str) -> None:
    """Wait for the signal at the moment that is tested; a signal ends the waiting."""
    if window == WINDOW:
        print("now", flush=True)
        until = time.monotonic() + PAUSE_S
        while not killed and time.monotonic() < until:
            time.sleep(0.05)


class Lingering(TrainingJobOperator):
    """Waits between Create and defer."""

    def trigger(self, *args: Any, **kwargs: Any) -> Any:
        linger("before defer")
        return super().trigger(*args, **kwargs)


WINDOW = sys.argv[1]
killed: list[int] = []
with DAG("d", schedule=None):
    task = Lingering(
        task_id="t", job=TrainingJob(image="echo", output="o/", hyperparameters={"seconds": 600})
    )


def on_term(number: int, _: Any) -> None:
    """As ``_on_term`` in ``airflow/sdk/execution_time/task_runner.py``."""
    killed.append(number)
    task.on_kill()


def on_alarm(number: int, _: Any) -> None:
    """As ``airflow/sdk/execution_time/timeout.py``."""
    raise AirflowTaskTimeout


signal.signal(signal.SIGTERM, on_term)
signal.signal(signal.SIGALRM, on_alarm)
ti = SimpleNamespace(
    dag_id="d", run_id=sys.argv[2], task_id="t", map_index=-1, try_number=1, max_tries=0, task=task
)
if WINDOW == "during create":
    print("now", flush=True)
try:
    context: Any = {"ti": ti, "run_id": ti.run_id, "task_state_store": Store()}
    task.execute(context)
except TaskDeferred:
    print("deferred")
except JobStoppedError:
    print("stopped")
except AirflowTaskTimeout:
    task.on_kill()
    print("timed out")
