from __future__ import annotations

import time
from typing import Any, cast

import pytest
from airflow.sdk import DAG, Context
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import TaskDeferred

from airflow_sagemaker.errors import QuotaExceededError, QuotaTooSmallError
from airflow_sagemaker.failures import JITTER
from airflow_sagemaker.operators.instances import QUOTA_DELAY, InstanceOperator
from airflow_sagemaker.operators.processing import ProcessingJobOperator
from airflow_sagemaker.operators.training import TrainingJobOperator
from airflow_sagemaker.specs.processing import ProcessingJob
from airflow_sagemaker.specs.training import TrainingJob
from airflow_sagemaker.triggers.pause import PauseTrigger

CONTEXT = cast(Context, {})
JOB = TrainingJob(image="x", output="o")
POOLS = {"ml.m5.large-training": 4}


class Refusing(InstanceOperator):
    """AWS refuses what it asks for, so often."""

    refusals = 1
    error: type[QuotaExceededError] = QuotaExceededError
    asked = 0

    def execute(self, context: Context) -> str:
        self.asked += 1
        if self.asked <= self.refusals:
            self.wait_for_quota(self.error("Training job 'x'", "AWS answers ResourceLimitExceeded", "Wait"))
        return "made"


def start(operator: Refusing) -> Any:
    token = ExecutorSafeguard.tracker.set(operator)
    try:
        return operator.execute(CONTEXT)
    finally:
        ExecutorSafeguard.tracker.reset(token)


def deferral(operator: Refusing, kwargs: dict[str, Any] | None = None) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferred:
        start(operator) if kwargs is None else resume(operator, kwargs)
    return deferred.value


def resume(operator: Refusing, kwargs: dict[str, Any]) -> Any:
    return operator.resume_execution("execute_again", {"event": None, **kwargs}, CONTEXT)


def test_a_refusal_gives_the_worker_back_and_the_same_is_asked_again() -> None:
    operator = Refusing(task_id="t")
    operator.refusals = 3
    began_s = time.time()
    kwargs = None
    for times in (1, 2, 3):
        deferred = deferral(operator, kwargs)
        kwargs = dict(deferred.kwargs or {})
        assert deferred.method_name == "execute_again"
        assert deferred.timeout is None
        assert kwargs["refused"]["times"] == times
        assert began_s <= kwargs["refused"]["since_s"] <= time.time()
        trigger = deferred.trigger
        assert isinstance(trigger, PauseTrigger)
        pause_s = QUOTA_DELAY.first_s * 2 ** (times - 1)
        assert began_s + pause_s * (1 - JITTER) <= trigger.until_s <= time.time() + pause_s
    assert resume(operator, kwargs or {}) == "made"


def test_the_last_refusal_fails_the_task() -> None:
    operator = Refusing(task_id="t", quota_wait_s=60)
    waited = {"since_s": time.time() - 61, "times": 9}
    with pytest.raises(QuotaExceededError):
        operator.execute_again(CONTEXT, refused=waited)


def test_it_asks_once_more_when_its_time_is_up() -> None:
    operator = Refusing(task_id="t", quota_wait_s=86400)
    left_s = QUOTA_DELAY.first_s  # where the pause after so many refusals is the longest
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute_again(CONTEXT, refused={"since_s": time.time() - 86400 + left_s, "times": 9})
    trigger = deferred.value.trigger
    assert isinstance(trigger, PauseTrigger)
    assert trigger.until_s <= time.time() + left_s


def test_what_never_fits_is_not_waited_for() -> None:
    operator = Refusing(task_id="t")
    operator.error = QuotaTooSmallError
    with pytest.raises(QuotaTooSmallError):
        start(operator)


def test_a_job_task_takes_the_pool_of_its_instances() -> None:
    with DAG("d", schedule=None, default_args={"pools": POOLS}):
        train = TrainingJobOperator(task_id="train", job=JOB)
        chosen = TrainingJobOperator(task_id="chosen", job=JOB, pool="mine")
        other = ProcessingJobOperator(task_id="other", job=ProcessingJob(image="x"))
    assert (train.pool, train.pool_slots) == ("ml.m5.large-training", 1)
    assert chosen.pool == "mine"
    assert other.pool == "default_pool"


def test_by_default_no_pool_is_taken() -> None:
    assert TrainingJobOperator(task_id="train", job=JOB).pool == "default_pool"
