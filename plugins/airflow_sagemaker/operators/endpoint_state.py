"""Bring an endpoint to serve a config: the life cycle that a rollout and a revert share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.errors import JobTimedOutError, RolloutError, error_named
from airflow_sagemaker.operators.base import SageMakerOperator
from airflow_sagemaker.rollout import Step, next_step
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.submission import NameTakenError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.hooks.endpoints import EndpointHook

BACKSTOP_S = 600
"""Airflow's own deferral timeout comes this much after the trigger's."""

TIMED_OUT_REMEDY = "SageMaker goes on with it: read the endpoint's log, clear the task to wait for it again"

SETTLE = "settle"
"""Waiting for whatever goes on to end, before acting."""
SERVE = "serve"
"""Waiting for the config that was asked for."""


class EndpointOperator(SageMakerOperator):
    """Bring an endpoint to serve a config, and end only when it does.

    :param poll_interval_s: seconds between two looks at the endpoint, the connection's setting by default
    """

    ui_color = "#fdf0dc"

    def __init__(self, *, poll_interval_s: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poll_interval_s = poll_interval_s

    def bring(self, context: Context, wanted: JsonObject, limit_s: int) -> Any:
        """Take the step that the endpoint's state calls for; defers unless nothing is to be done.

        :param wanted: the task's results so far, with ``endpoint_name`` and ``endpoint_config_name``
        """
        endpoint = self._endpoint(wanted["endpoint_name"])
        described = endpoint.describe()
        config = wanted["endpoint_config_name"]
        step = next_step(described, config)
        self.log.info("%s: %s", endpoint.thing, step.value)
        match step:
            case Step.DONE if described is not None:
                return {**wanted, "endpoint_arn": described["EndpointArn"]}
            case Step.CREATE:
                try:
                    endpoint.create(config, self.tags())
                except NameTakenError:
                    return self._wait(wanted, SETTLE, limit_s)
                return self._wait(wanted, SERVE, limit_s)
            case Step.UPDATE:
                endpoint.update(config)
                return self._wait(wanted, SERVE, limit_s)
            case Step.RECREATE:
                endpoint.delete()
                return self._wait(wanted, SETTLE, limit_s)
            case Step.WAIT:
                return self._wait(wanted, SETTLE, limit_s)
        state = described["EndpointStatus"] if described else "missing"
        raise RolloutError(
            endpoint.thing,
            f"it is {state} and takes no update",
            "Delete it, then clear this task to create it",
        )

    def tags(self) -> Mapping[str, str]:
        """Tags of a new endpoint."""
        return {}

    def _endpoint(self, name: str) -> EndpointHook:
        from airflow_sagemaker.hooks.endpoints import EndpointHook

        return EndpointHook(self.hook, name)

    def _wait(self, wanted: JsonObject, phase: str, limit_s: int) -> None:
        from airflow_sagemaker.triggers.endpoint import EndpointTrigger

        self.defer(
            trigger=EndpointTrigger(
                endpoint_name=wanted["endpoint_name"],
                wanted_config=wanted["endpoint_config_name"],
                results=wanted,
                phase=phase,
                limit_s=limit_s,
                since_ms=int(time.time() * 1000),
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                poll_interval_s=self.poll_interval_s or self.hook.settings.poll_interval_s,
                deadline_s=time.time() + limit_s,
                succeed_in_trigger=self.may_end_in_trigger(),
                push_results=bool(self.do_xcom_push),
            ),
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
        raise RolloutError(
            thing,
            f"it is {event['status']} with config {event.get('config')}, not with {config} as asked "
            f"({event['reason'] or 'AWS gives no reason'})",
            "Read the endpoint's log, correct the model or its image, then clear the task",
        )
