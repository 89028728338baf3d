"""Roll a model version out to an endpoint, take the rollout back, or ask the endpoint something."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from airflow_sagemaker.errors import InvocationError
from airflow_sagemaker.operators.base import SageMakerOperator
from airflow_sagemaker.operators.endpoint_state import EndpointOperator
from airflow_sagemaker.rollout import served_config
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.endpoint import EndpointRollout

if TYPE_CHECKING:
    from airflow.sdk import Context

REVERT_LIMIT_S = 3600
SHOWN_ANSWERS = 5


class EndpointRolloutOperator(EndpointOperator):
    """Make an endpoint serve a model version: create it, or update it while it goes on serving.

    Ends only when the endpoint is InService with the very config it was asked for; an endpoint that
    SageMaker rolled back fails the task with AWS's reason. XCom: ``{"endpoint_name", "endpoint_arn",
    "endpoint_config_name", "model_package_arn", "previous_endpoint_config_name"}``, the last one None
    where the endpoint is new. SageMaker has no call to stop a rollout, so killing the task lets it end.

    :param endpoint: the endpoint and its model version; every ``str`` in it may hold Jinja
    """

    template_fields: Sequence[str] = ("endpoint",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"endpoint": "json"}

    def __init__(self, *, endpoint: EndpointRollout | JsonObject, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint = (
            endpoint.model_dump(mode="json") if isinstance(endpoint, EndpointRollout) else endpoint
        )

    def execute(self, context: Context) -> Any:
        """Make model and config, then take the step that the endpoint's state calls for."""
        from airflow_sagemaker.hooks.models import ModelHook

        rollout = EndpointRollout.model_validate(self.endpoint)
        models = ModelHook(self.hook)
        model_name = models.ensure_model(rollout.to_model())
        config_name = models.ensure_endpoint_config(rollout, model_name)
        wanted = {
            "endpoint_name": rollout.endpoint_name,
            "endpoint_config_name": config_name,
            "model_package_arn": rollout.model_package_arn,
            "previous_endpoint_config_name": self._previous(context, rollout.endpoint_name, config_name),
        }
        return self.bring(context, wanted, rollout.max_rollout_s)

    def tags(self) -> Mapping[str, str]:
        """The tags of the spec, for an endpoint that is new."""
        tags: Mapping[str, str] = self.endpoint.get("tags", {})
        return tags

    def _previous(self, context: Context, endpoint_name: str, config_name: str) -> str | None:
        """The config served before this rollout; remembered, for a later try finds the new one there."""
        record = self._record(context)
        asked = record.read()
        if asked is not None and (asked.name, asked.fingerprint) == (endpoint_name, config_name):
            return record.details().get("previous")
        served = served_config(self._endpoint(endpoint_name).describe())
        return None if served == config_name else served


class RevertEndpointOperator(EndpointOperator):
    """Put an endpoint back on an earlier config; skips where there is none (the endpoint was new).

    XCom: ``{"endpoint_name", "endpoint_arn", "endpoint_config_name"}``.

    :param endpoint_name: the endpoint
    :param endpoint_config_name: the config, usually the rollout's ``previous_endpoint_config_name``
    """

    template_fields: Sequence[str] = ("endpoint_name", "endpoint_config_name")

    def __init__(self, *, endpoint_name: str, endpoint_config_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.endpoint_config_name = endpoint_config_name

    def execute(self, context: Context) -> Any:
        """Update the endpoint to the earlier config."""
        if self.endpoint_config_name in ("", "None"):
            raise AirflowSkipException(
                f"Endpoint {self.endpoint_name!r} served nothing before: nothing to revert to"
            )
        wanted = {"endpoint_name": self.endpoint_name, "endpoint_config_name": self.endpoint_config_name}
        return self.bring(context, wanted, REVERT_LIMIT_S)


class InvokeEndpointOperator(SageMakerOperator):
    """Send rows of a text object to an endpoint and check that each gets an answer.

    XCom: ``{"endpoint_name", "variant", "rows", "answers", "latency_ms"}``, where ``answers`` is the first
    few lines.

    :param endpoint_name: the endpoint
    :param source: location of the object whose first lines are sent
    :param body: text to send instead of ``source``
    :param content_type: of the request
    :param accept: of the answer
    :param max_rows: how many lines to send at most
    :param skip_header: leave out the first line
    :param skip_columns: leave out so many leading columns (the label of a test set)
    :param expect_answers: require one line of answer for every line sent
    :param expect_pattern: require every line of the answer to match this regular expression
    """

    template_fields: Sequence[str] = ("endpoint_name", "source", "body", "content_type", "accept")
    ui_color = "#fdf0dc"

    def __init__(
        self,
        *,
        endpoint_name: str,
        source: str | None = None,
        body: str | None = None,
        content_type: str = "text/csv",
        accept: str = "text/csv",
        max_rows: int = 10,
        skip_header: bool = False,
        skip_columns: int = 0,
        expect_answers: bool = True,
        expect_pattern: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.source = source
        self.body = body
        self.content_type = content_type
        self.accept = accept
        self.max_rows = max_rows
        self.skip_header = skip_header
        self.skip_columns = skip_columns
        self.expect_answers = expect_answers
        self.expect_pattern = expect_pattern

    @property
    def thing(self) -> str:
        """As errors and log lines name it."""
        return f"Endpoint {self.endpoint_name!r}"

    def execute(self, context: Context) -> JsonObject:
        """Send the rows, check the answers."""
        from airflow_sagemaker.hooks.endpoints import EndpointHook

        rows = self._rows()
        body = "".join(f"{row}\n" for row in rows).encode()
        started_s = time.perf_counter()
        variant, answer = EndpointHook(self.hook, self.endpoint_name).invoke(
            body, self.content_type, self.accept
        )
        latency_ms = round((time.perf_counter() - started_s) * 1000, 1)
        answers = answer.decode().splitlines()
        self._check(rows, answers)
        self.log.info("%s answered %d rows in %.1f ms", self.thing, len(rows), latency_ms)
        return {
            "endpoint_name": self.endpoint_name,
            "variant": variant,
            "rows": len(rows),
            "answers": answers[:SHOWN_ANSWERS],
            "latency_ms": latency_ms,
        }

    def _rows(self) -> list[str]:
        if self.body is not None:
            lines = self.body.splitlines()
        elif self.source is not None:
            lines = self.storage.read_text(self.source).splitlines()
        else:
            raise InvocationError(self.thing, "there is nothing to send", "Give the task source or body")
        lines = lines[1:] if self.skip_header else lines
        rows = [line.split(",", self.skip_columns)[-1] for line in lines[: self.max_rows] if line.strip()]
        if not rows:
            raise InvocationError(self.thing, f"{self.source or 'body'} holds no rows", "Give it some")
        return rows

    def _check(self, rows: Sequence[str], answers: Sequence[str]) -> None:
        remedy = "Read the endpoint's log and compare what the model expects with what was sent"
        if self.expect_answers and len(answers) != len(rows):
            raise InvocationError(self.thing, f"it gave {len(answers)} lines for {len(rows)} rows", remedy)
        if self.expect_pattern is not None:
            wrong = [answer for answer in answers if not re.fullmatch(self.expect_pattern, answer)]
            if wrong:
                raise InvocationError(
                    self.thing,
                    f"{len(wrong)} answers do not match {self.expect_pattern!r}, first {wrong[0]!r}",
                    remedy,
                )
