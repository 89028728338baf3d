"""All instances that serve one endpoint config for one endpoint."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagemaker_local import limits
from sagemaker_local.executors.base import Executor
from sagemaker_local.jobs.environment import common
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.names import instance_id
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.container import Container
from sagemaker_local.serving.container_log import ContainerLog
from sagemaker_local.serving.model_server import ModelServer, PingError, ServeError
from sagemaker_local.serving.router import Router, Variant
from sagemaker_local.serving.variant_server import variant_server
from sagemaker_local.settings import Settings

LOG_GROUP = "/aws/sagemaker/Endpoints/{}"
DRAIN_POLL_S = 0.02


class FleetError(Exception):
    """The fleet does not come up; the message is AWS's FailureReason."""


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """A production variant with everything resolved that its instances need."""

    name: str
    weight: float
    instances: int
    container: Container
    start_timeout_s: float | None = None
    instance_type: str | None = None
    serverless: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "name": self.name,
            "weight": self.weight,
            "instances": self.instances,
            "container": self.container.to_json(),
            "start_timeout_s": self.start_timeout_s,
            "instance_type": self.instance_type,
            "serverless": self.serverless,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> VariantPlan:
        """The reverse of :meth:`to_json`."""
        return cls(**{**stored, "container": Container.from_json(stored["container"])})


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What a fleet consists of; kept with the endpoint, so that it comes back after a restart as it was."""

    id: str
    config_name: str
    variants: Sequence[VariantPlan]
    data_capture: Mapping[str, Any] | None = None
    asynchronous: Mapping[str, Any] | None = None

    @classmethod
    def new(
        cls, config_name: str, variants: Sequence[VariantPlan], config: Mapping[str, Any] | None = None
    ) -> FleetPlan:
        """A plan with an identity of its own; the endpoint config's other settings come from ``config``."""
        given = config or {}
        return cls(
            secrets.token_hex(6),
            config_name,
            variants,
            data_capture=given.get("DataCaptureConfig"),
            asynchronous=given.get("AsyncInferenceConfig"),
        )

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        variants = [variant.to_json() for variant in self.variants]
        return {
            "id": self.id,
            "config_name": self.config_name,
            "variants": variants,
            "data_capture": self.data_capture,
            "asynchronous": self.asynchronous,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FleetPlan:
        """The reverse of :meth:`to_json`."""
        variants = [VariantPlan.from_json(variant) for variant in stored["variants"]]
        return cls(**{**stored, "variants": variants})


class Fleet:
    """The running instances of a plan.

    Args:
        plan: What to run.
        endpoint_name: Names the log group.
        directory: Holds every instance's ``/opt/ml``.
    """

    def __init__(
        self,
        plan: FleetPlan,
        *,
        endpoint_name: str,
        directory: Path,
        settings: Settings,
        objects: ObjectStore,
        logs: LogStore,
        executor: Executor,
    ) -> None:
        self.plan = plan
        self.directory = directory
        self._logs: list[ContainerLog] = []
        self._variants: list[Variant] = []
        for variant in plan.variants:
            servers = []
            for number in range(variant.instances):
                log = ContainerLog(logs, LOG_GROUP.format(endpoint_name), f"{variant.name}/{instance_id()}")
                self._logs.append(log)
                servers.append(
                    variant_server(
                        variant,
                        directory / f"{variant.name}-{number}",
                        environment=common(settings),
                        executor=executor,
                        objects=objects,
                        log=log.write,
                        start_timeout_s=variant.start_timeout_s or settings.ping_start_timeout_s,
                    )
                )
            self._variants.append(Variant(variant.name, variant.weight, servers))
        self.router = Router(self._variants)

    @property
    def servers(self) -> list[ModelServer]:
        """All instances."""
        return [server for variant in self._variants for server in variant.servers]

    async def start(self) -> None:
        """Bring all instances up side by side; returns when every one is ready.

        Raises:
            FleetError: one does not come up; nothing is left running.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for variant in self._variants:
                    for server in variant.servers:
                        group.create_task(_start(variant.name, server))
        except BaseException as error:
            await self.stop(0)
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None
            raise

    async def drain(self) -> None:
        """Wait until no request is under way, for as long as one may take."""
        waited_s = 0.0
        while any(server.outstanding for server in self.servers) and waited_s < limits.INVOKE_TIMEOUT_S:
            await asyncio.sleep(DRAIN_POLL_S)
            waited_s += DRAIN_POLL_S

    async def stop(self, grace_s: float = limits.SERVE_STOP_GRACE_S) -> None:
        """Stop all instances; their output is in the log store when this returns."""
        await asyncio.gather(*(server.stop(grace_s) for server in self.servers))
        await asyncio.gather(*(log.close() for log in self._logs))


async def _start(variant_name: str, server: ModelServer) -> None:
    try:
        await server.start()
    except PingError as error:
        raise FleetError(
            f"The primary container for production variant {variant_name} "
            "did not pass the ping health check. Please check CloudWatch logs for this endpoint. "
            f"({_sentence(error)})"
        ) from error
    except ServeError as error:
        raise FleetError(str(error)) from error


def _sentence(error: Exception) -> str:
    text = re.sub(r"\s+", " ", str(error)).strip()
    return text[:1].upper() + text[1:]
