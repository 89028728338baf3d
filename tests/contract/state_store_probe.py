"""Do to a task instance what users and accidents do, with Airflow's own models, and print what is left.

Runs in a process of its own, on a database of its own (``AIRFLOW_HOME``). For each scenario: the start of
the next try as a worker would read it, and what the task state store holds for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow._shared.state import TaskScope
from airflow.executors.base_executor import BaseExecutor
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dagbag import DBDagBag
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.task_state_store import TaskStateStoreModel
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk import DAG, BaseOperator
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.state.metastore import MetastoreBackend
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select, update

DAG_ID, TASK_ID, RETRIES, KEY = "d", "t", 2, "sagemaker_job"
DAY = datetime(2026, 1, 1, tzinfo=UTC)
BACKEND = MetastoreBackend()


def dag_of(retries: int = RETRIES) -> LazyDeserializedDAG:
    with DAG(DAG_ID, schedule="@daily", start_date=DAY) as dag:
        BaseOperator(task_id=TASK_ID, retries=retries)
        BaseOperator(task_id="other", retries=0)
    return LazyDeserializedDAG.from_dag(dag)


def write_dag(session: Any, retries: int = RETRIES) -> None:
    lazy = dag_of(retries)
    SerializedDAG.bulk_write_to_db("bundle", None, [lazy], session=session)
    SerializedDagModel.write_dag(lazy, bundle_name="bundle", min_update_interval=0, session=session)
    session.commit()


def scheduler_dag(session: Any) -> Any:
    return DBDagBag().get_latest_version_of_dag(DAG_ID, session=session)


def new_run(session: Any, run_id: str, day: int) -> None:
    at = DAY + timedelta(days=day)
    scheduler_dag(session).create_dagrun(
        run_id=run_id,
        logical_date=at,
        data_interval=(at, at + timedelta(days=1)),
        run_after=at + timedelta(days=1),
        run_type=DagRunType.SCHEDULED,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        session=session,
    )
    session.commit()


def instance(session: Any, run_id: str, task_id: str = TASK_ID) -> Any:
    found = session.scalar(
        select(TaskInstance).where(TaskInstance.run_id == run_id, TaskInstance.task_id == task_id)
    )
    found.task = scheduler_dag(session).get_task(task_id)
    return found


def scope(run_id: str, map_index: int = -1) -> TaskScope:
    return TaskScope(dag_id=DAG_ID, run_id=run_id, task_id=TASK_ID, map_index=map_index)


def begin_try(session: Any, run_id: str) -> Any:
    """As the scheduler does (``schedule_tis``), then a worker that writes down what it asks for."""
    ti = instance(session, run_id)
    run = ti.get_dagrun(session=session)
    run.dag = scheduler_dag(session)
    ti.state = None
    session.flush()
    run.schedule_tis([ti], session=session)
    session.commit()
    session.execute(update(TaskInstance).where(TaskInstance.id == ti.id).values(state="running"))
    session.commit()
    session.expire_all()
    return instance(session, run_id)


def ended(session: Any, run_id: str, state: TaskInstanceState) -> Any:
    ti = instance(session, run_id)
    ti.state = state
    session.commit()
    return ti


def observe(session: Any, run_id: str) -> dict[str, Any]:
    """What the next try would see."""
    ti = begin_try(session, run_id)
    run = ti.get_dagrun(session=session)
    kept = BACKEND.get(scope(run_id), KEY, session=session)
    return {
        "max_tries": ti.max_tries,
        "retries": ti.task.retries,
        "try_number": ti.try_number,
        "clear_number": run.clear_number,
        "kept": json.loads(kept) if kept else None,
    }


class Reporting(BaseExecutor):
    """An executor that says how a workload ended."""

    def sync(self) -> None:
        """Nothing runs here."""


def retry(session: Any, run_id: str) -> None:
    instance(session, run_id).handle_failure(error="x", session=session)


def cleared(session: Any, run_id: str) -> None:
    ended(session, run_id, TaskInstanceState.SUCCESS)
    clear_task_instances([instance(session, run_id)], session)


def cleared_while_waiting_for_its_retry(session: Any, run_id: str) -> None:
    retry(session, run_id)
    cleared_instance = instance(session, run_id)
    clear_task_instances([cleared_instance], session)


def run_cleared(session: Any, run_id: str) -> None:
    """By the UI, the CLI, and a backfill that reprocesses (``_handle_clear_run`` in models/backfill.py)."""
    ended(session, run_id, TaskInstanceState.FAILED)
    scheduler_dag(session).clear(run_id=run_id, session=session)


def other_task_cleared_and_worker_lost(session: Any, run_id: str) -> None:
    other = instance(session, run_id, "other")
    other.state = TaskInstanceState.SUCCESS
    session.commit()
    clear_task_instances([instance(session, run_id, "other")], session)
    retry(session, run_id)


def cleared_while_running(session: Any, run_id: str) -> None:
    """The worker hears of it, kills the task, and ends; the executor reports success."""
    clear_task_instances([instance(session, run_id)], session)
    session.commit()
    ti = instance(session, run_id)
    executor = Reporting()
    executor.event_buffer[ti.key] = ("success", None)
    SchedulerJobRunner.process_executor_events(
        executor=executor, job_id=None, scheduler_dag_bag=DBDagBag(), session=session
    )


def cleared_while_running_and_worker_lost(session: Any, run_id: str) -> None:
    clear_task_instances([instance(session, run_id)], session)
    session.commit()
    retry(session, run_id)


def fewer_retries_in_the_file(session: Any, run_id: str) -> None:
    write_dag(session, RETRIES - 1)
    retry(session, run_id)


def cleared_with_one_retry_less(session: Any, run_id: str) -> None:
    write_dag(session, RETRIES - 1)
    ended(session, run_id, TaskInstanceState.SUCCESS)
    clear_task_instances([instance(session, run_id)], session, run_on_latest_version=True)


def _marked_success(session: Any, run_id: str, *, clear_on_success: bool) -> None:
    from airflow.api_fastapi.core_api.services.public.task_instances import (
        _clear_task_state_store_on_success,
    )

    os.environ["AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS"] = str(clear_on_success)
    _clear_task_state_store_on_success([ended(session, run_id, TaskInstanceState.SUCCESS)], session)
    session.commit()
    clear_task_instances([instance(session, run_id)], session)


def marked_success_then_cleared(session: Any, run_id: str) -> None:
    _marked_success(session, run_id, clear_on_success=False)


def marked_success_then_cleared_with_clear_on_success(session: Any, run_id: str) -> None:
    _marked_success(session, run_id, clear_on_success=True)


def expired(session: Any, run_id: str) -> None:
    past = datetime.now(tz=UTC) - timedelta(days=1)
    session.execute(update(TaskStateStoreModel).values(expires_at=past))
    session.commit()
    BACKEND.cleanup()
    retry(session, run_id)


def run_deleted_and_made_again(session: Any, run_id: str) -> None:
    run = instance(session, run_id).get_dagrun(session=session)
    day = (run.logical_date - DAY).days
    session.delete(run)
    session.commit()
    new_run(session, run_id, day)


SCENARIOS: tuple[Callable[[Any, str], None], ...] = (
    retry,
    cleared,
    cleared_while_waiting_for_its_retry,
    run_cleared,
    other_task_cleared_and_worker_lost,
    cleared_while_running,
    cleared_while_running_and_worker_lost,
    marked_success_then_cleared,
    marked_success_then_cleared_with_clear_on_success,
    expired,
    run_deleted_and_made_again,
    fewer_retries_in_the_file,
    cleared_with_one_retry_less,
)


def main() -> None:
    """Print what each scenario leaves, before and after."""
    initdb()
    seen: dict[str, Any] = {}
    with create_session() as session:
        session.add(DagBundleModel(name="bundle"))
        session.commit()
        for day, scenario in enumerate(SCENARIOS):
            name = scenario.__name__
            write_dag(session)
            new_run(session, name, day)
            before = observe(session, name)
            BACKEND.set(scope(name), KEY, json.dumps(name), session=session)
            BACKEND.set(scope(name, 1), KEY, json.dumps("another map index"), session=session)
            session.commit()
            scenario(session, name)
            session.commit()
            session.expire_all()
            seen[name] = {"before": before, "after": observe(session, name)}
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
