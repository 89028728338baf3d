"""Bring an endpoint to serve a config: the life cycle that a rollout and a revert share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.errors import (
    CapacityError,
    ForeignResourceError,
    JobTimedOutError,
    QuotaExceededError,
    RolloutError,
    SageMakerError,
    error_named,
)
from airflow_sagemaker.fingerprint import tag_value
from airflow_sagemaker.operators.base import identity_of, start_of
from airflow_sagemaker.operators.instances import InstanceOperator
from airflow_sagemaker.policies import failure
from airflow_sagemaker.rollout import Step, has_come_back, next_step
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.submission import NameTakenError
from airflow_sagemaker.task_record import Asked, TaskRecord

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.hooks.endpoints import EndpointHook

BACKSTOP_S = 600
"""Airflow's own deferral timeout comes this much after the trigger's."""

STATE_KEY = "sagemaker_endpoint"
DAG_TAG = "airflow:dag_id"
"""Whose an endpoint is: it outlives the runs of the DAG that made it."""

TIMED_OUT_REMEDY = "SageMaker goes on with it: read the endpoint's log, clear the task to wait for it again"

SETTLE = "settle"
"""Waiting for whatever goes on to end, before acting."""
SERVE = "serve"
"""Waiting for the config that was asked for."""


class EndpointOperator(InstanceOperator):
    """Bring an endpoint to serve a config, and end only when it does.

    :param poll_interval_s: seconds between two looks at the endpoint, the connection's setting by default
    """

    ui_color = "#fdf0dc"

    def __init__(self, *, poll_interval_s: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poll_interval_s = poll_interval_s
        self._killed = False

    def bring(self, context: Context, wanted: JsonObject, limit_s: int) -> Any:
        """Take the step that the endpoint's state calls for; defers unless nothing is to be done.

        :param wanted: the task's results so far, with ``endpoint_name`` and ``endpoint_config_name``
        """
        try:
            return self._step(context, wanted, limit_s)
        except QuotaExceededError as error:
            self.wait_for_quota(error)

    def _step(self, context: Context, wanted: JsonObject, limit_s: int) -> Any:
        endpoint = self._endpoint(wanted["endpoint_name"])
        described = endpoint.describe()
        config = wanted["endpoint_config_name"]
        step = next_step(described, config)
        self.log.info("%s: %s", endpoint.thing, step.value)
        match step:
            case Step.DONE if described is not None:
                return {**wanted, "endpoint_arn": described["EndpointArn"]}
            case Step.CREATE:
                self._write_down(context, wanted, described)
                owned = {**self.tags(), DAG_TAG: tag_value(identity_of(context).dag_id)}
                try:
                    endpoint.create(config, owned)
                except NameTakenError:
                    return self._wait(context, wanted, SETTLE, limit_s)
                return self._wait(context, wanted, SERVE, limit_s)
            case Step.UPDATE if described is not None:
                self._require_own(context, endpoint, described)
                self._require_not_rolled_back(context, endpoint.thing, config, described)
                self._write_down(context, wanted, described)
                endpoint.update(config)
                return self._wait(context, wanted, SERVE, limit_s)
            case Step.RECREATE if described is not None:
                self._require_own(context, endpoint, described)
                self._write_down(context, wanted, None)
                endpoint.delete()
                return self._wait(context, wanted, SETTLE, limit_s)
            case Step.WAIT:
                return self._wait(context, wanted, SETTLE, limit_s)
        state = described["EndpointStatus"] if described else "missing"
        raise RolloutError(
            endpoint.thing,
            f"it is {state} and takes no update",
            "Delete it, then clear this task to create it",
        )

    def on_kill(self) -> None:
        """Begin nothing any more; SageMaker has no call to stop what has begun."""
        self._killed = True

    def _write_down(self, context: Context, wanted: JsonObject, described: JsonObject | None) -> None:
        """Persist what is about to be asked for, unless the task was killed before."""
        name = wanted["endpoint_name"]
        if self._killed:
            raise RolloutError(
                f"Endpoint {name!r}",
                "the task was killed before it asked for it",
                "Clear the task to ask again",
            )
        asked = Asked(name, wanted["endpoint_config_name"], 0, start_of(context))
        self._record(context).write(
            asked,
            previous=wanted.get("previous_endpoint_config_name"),
            modified_before=str(described["LastModifiedTime"]) if described else None,
        )

    def _require_own(self, context: Context, endpoint: EndpointHook, described: JsonObject) -> None:
        """Refuse an endpoint that another DAG, or no DAG, made."""
        own = tag_value(identity_of(context).dag_id)
        made_by = endpoint.tags(described["EndpointArn"]).get(DAG_TAG)
        if made_by != own:
            raise ForeignResourceError(
                endpoint.thing,
                f"it was not made by this DAG: its tag {DAG_TAG} is {made_by!r}, expected {own!r}",
                f"Give it the tag {DAG_TAG}={own} to hand it over to this DAG, or choose another name",
            )

    def _require_not_rolled_back(
        self, context: Context, thing: str, config: str, described: JsonObject
    ) -> None:
        """A try after a lost worker must not repeat a rollout that SageMaker has taken back meanwhile."""
        record = self._record(context)
        asked = record.read()
        if asked is None or asked.fingerprint != config or not asked.is_of(start_of(context)):
            return
        if has_come_back(described, config, record.details().get("modified_before")):
            error = self._served_otherwise(thing, config, described)
            if not isinstance(error, CapacityError):
                raise error

    def _record(self, context: Context) -> TaskRecord:
        return TaskRecord(context["task_state_store"], STATE_KEY)

    def _served_otherwise(self, thing: str, config: str, described: JsonObject) -> SageMakerError:
        reason = described.get("FailureReason") or "AWS gives no reason"
        return failure(
            thing,
            reason,
            RolloutError,
            cause=f"it is {described['EndpointStatus']} with config {described.get('EndpointConfigName')}, "
            f"not with {config} as asked ({reason})",
        )

    def tags(self) -> Mapping[str, str]:
        """Tags of a new endpoint."""
        return {}

    def _endpoint(self, name: str) -> EndpointHook:
        from airflow_sagemaker.hooks.endpoints import EndpointHook

        return EndpointHook(self.hook, name)

    def _wait(self, context: Context, wanted: JsonObject, phase: str, limit_s: int) -> Any:
        from airflow_sagemaker.triggers.endpoint import EndpointTrigger

        trigger = partial(
            EndpointTrigger,
            endpoint_name=wanted["endpoint_name"],
            wanted_config=wanted["endpoint_config_name"],
            results=wanted,
            phase=phase,
            limit_s=limit_s,
            since_ms=int(time.time() * 1000),
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            region=self.hook.region,
            poll_interval_s=self.poll_interval_s or self.hook.settings.poll_interval_s,
            deadline_s=time.time() + limit_s,
            succeed_in_trigger=self.may_end_in_trigger(),
            push_results=bool(self.do_xcom_push),
        )
        if (event := self.wait_here(context, trigger)) is not None:
            return self.execute_complete(context, event)
        self.defer(
            trigger=trigger(),
            method_name="execute_complete",
            timeout=timedelta(seconds=limit_s + BACKSTOP_S),
        )

    def execute_complete(self, context: Context, event: JsonObject) -> Any:
        """Back on a worker: act now that the endpoint is at rest, or raise why it serves something else."""
        wanted = event["wanted"]
        thing, config = f"Endpoint {wanted['endpoint_name']!r}", wanted["endpoint_config_name"]
        match event["end"]:
            case "completed":
                return event["results"]
            case "timed_out":
                raise JobTimedOutError(thing, event["reason"], TIMED_OUT_REMEDY)
            case "trouble":
                raise error_named(event["error"], thing, event["reason"], event["remedy"])
        if event["phase"] == SETTLE:
            return self.bring(context, wanted, event["limit_s"])
        described = {
            "EndpointStatus": event["status"],
            "EndpointConfigName": event.get("config"),
            "FailureReason": event["reason"],
        }
        raise self._served_otherwise(thing, config, described)
