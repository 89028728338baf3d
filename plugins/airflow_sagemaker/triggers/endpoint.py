"""Wait until an endpoint has come to rest, whatever it was doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_sagemaker.rollout import is_settled
from airflow_sagemaker.triggers.log_place import LogPlace
from airflow_sagemaker.triggers.polling import PollingTrigger
from airflow_sagemaker.triggers.shared_poll_listings import ENDPOINT


class EndpointTrigger(PollingTrigger):
    """Wait for an endpoint to settle; success is to be in service with the config that is wanted.

    SageMaker has no call that stops a rollout, so a kill leaves it to end by itself.

    :param endpoint_name: the endpoint
    :param wanted_config: the config that it shall serve
    :param results: XCom of the task on success
    :param phase: told to the worker with the event, as is ``limit_s``
    :param limit_s: how long the rollout may take
    :param since_ms: from when on its log lines are wanted
    """

    fields = (
        "endpoint_name",
        "wanted_config",
        "results",
        "phase",
        "limit_s",
        "since_ms",
        *PollingTrigger.fields,
    )

    def __init__(
        self,
        *,
        endpoint_name: str,
        wanted_config: str,
        results: dict[str, Any],
        phase: str,
        limit_s: int,
        since_ms: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.wanted_config = wanted_config
        self.results = results
        self.phase = phase
        self.limit_s = limit_s
        self.since_ms = since_ms
        self._told = ""

    @property
    def operation(self) -> str:
        """Endpoints have a poll of their own."""
        return ENDPOINT

    @property
    def awaited_name(self) -> str:
        """The endpoint's."""
        return self.endpoint_name

    @property
    def thing(self) -> str:
        """As errors and log lines name it."""
        return f"Endpoint {self.endpoint_name!r}"

    @property
    def log_place(self) -> LogPlace:
        """Every stream of the endpoint's own group, from the rollout on."""
        return LogPlace(f"/aws/sagemaker/Endpoints/{self.endpoint_name}", since_ms=self.since_ms)

    async def describe(self, client: Any) -> dict[str, Any]:
        """Ask for the endpoint."""
        described: dict[str, Any] = await client.describe_endpoint(EndpointName=self.endpoint_name)
        return described

    def progress(self, described: Mapping[str, Any]) -> list[str]:
        """Its status and the config it serves, where they are new."""
        line = f"{described['EndpointStatus']} with {described.get('EndpointConfigName', 'no config yet')}"
        if line == self._told:
            return []
        self._told = line
        return [line]

    def judge(self, described: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Whether it is at rest, and with what."""
        if described is None:
            return self.payload("settled", status="missing", reason="it does not exist")
        status, config = str(described["EndpointStatus"]), described.get("EndpointConfigName")
        if not is_settled(status):
            return None
        if status == "InService" and config == self.wanted_config:
            results = {**self.results, "endpoint_arn": described["EndpointArn"]}
            return self.payload("completed", results=results)
        return self.payload("settled", status=status, config=config, reason=described.get("FailureReason"))

    async def give_up(self) -> dict[str, Any] | None:
        """SageMaker has no call to stop a rollout; say that time is up."""
        return self.payload(
            "timed_out", reason=f"it does not serve config {self.wanted_config} after {self.limit_s} s"
        )

    def payload(self, end: str, **more: Any) -> dict[str, Any]:
        """The event, with all that the worker needs: ``dag.test()`` keeps nothing else for it."""
        return {"end": end, "wanted": self.results, "phase": self.phase, "limit_s": self.limit_s, **more}
