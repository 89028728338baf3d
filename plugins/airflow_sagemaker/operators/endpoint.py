"""Roll a model version out to an endpoint, ask it something, or take the rollout back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_sagemaker.operators.base import SageMakerOperator
from airflow_sagemaker.specs.base import JsonObject
from airflow_sagemaker.specs.endpoint import EndpointRollout

if TYPE_CHECKING:
    from airflow.sdk import Context


class EndpointRolloutOperator(SageMakerOperator):
    """Make an endpoint serve a model version: create it, or update it while it goes on serving.

    Ends only when the endpoint is InService with the very config it was asked for; an endpoint that
    SageMaker rolled back fails the task with AWS's reason. XCom: ``{"endpoint_name", "endpoint_arn",
    "endpoint_config_name", "model_package_arn", "previous_endpoint_config_name"}``, the last one None
    where the endpoint is new.

    :param endpoint: the endpoint and its model version; every ``str`` in it may hold Jinja
    :param poll_interval_s: seconds between two looks at the endpoint, the connection's setting by default
    """

    template_fields: Sequence[str] = ("endpoint",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"endpoint": "json"}
    ui_color = "#fdf0dc"

    def __init__(
        self, *, endpoint: EndpointRollout | JsonObject, poll_interval_s: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint = endpoint.model_dump(mode="json") if isinstance(endpoint, EndpointRollout) else endpoint
        self.poll_interval_s = poll_interval_s

    def execute(self, context: Context) -> Any:
        raise NotImplementedError


class RevertEndpointOperator(SageMakerOperator):
    """Put an endpoint back on an earlier config; skips where there is none (a new endpoint).

    XCom: ``{"endpoint_name", "endpoint_arn", "endpoint_config_name"}``.

    :param endpoint_name: the endpoint
    :param endpoint_config_name: the config, usually the rollout's ``previous_endpoint_config_name``
    """

    template_fields: Sequence[str] = ("endpoint_name", "endpoint_config_name")
    ui_color = "#fdf0dc"

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str,
        poll_interval_s: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.endpoint_config_name = endpoint_config_name
        self.poll_interval_s = poll_interval_s

    def execute(self, context: Context) -> Any:
        raise NotImplementedError


class InvokeEndpointOperator(SageMakerOperator):
    """Send rows of a CSV object to an endpoint and check that each gets an answer: the smoke test.

    XCom: ``{"endpoint_name", "variant", "rows", "answers", "latency_ms"}``, ``answers`` being the first few lines.

    :param endpoint_name: the endpoint
    :param source: location of the object whose first lines are sent, or ``body`` itself instead
    :param body: text to send instead of ``source``
    :param content_type: of the request
    :param accept: of the answer
    :param max_rows: how many lines to send at most
    :param skip_header: leave out the first line
    :param skip_columns: leave out so many leading columns (the label of a test set)
    :param expect_answers: require one non-empty line for every line sent
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

    def execute(self, context: Context) -> Any:
        raise NotImplementedError
