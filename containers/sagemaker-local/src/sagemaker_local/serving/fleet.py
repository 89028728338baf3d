"""All instances that serve one endpoint config for one endpoint; they come and go while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sagemaker_local import limits
from sagemaker_local.executors.base import Executor
from sagemaker_local.jobs.environment import common
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.names import instance_id
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.container_log import ContainerLog
from sagemaker_local.serving.fleet_plan import FleetPlan, VariantPlan
from sagemaker_local.serving.model_server import ModelServer, PingError, ServeError
from sagemaker_local.serving.router import Router, Variant
from sagemaker_local.serving.shadow import Shadow
from sagemaker_local.serving.variant_server import variant_server
from sagemaker_local.settings import Settings

LOG_GROUP = "/aws/sagemaker/Endpoints/{}"
DRAIN_POLL_S = 0.02


class FleetError(Exception):
    """The fleet does not come up; the message is AWS's FailureReason."""


class Instance(NamedTuple):
    """One instance, for whoever watches it; without a process while its container is started again."""

    variant: str
    instance_id: str
    pid: int | None


@dataclass(frozen=True, slots=True)
class _Member:
    number: int
    id: str
    server: ModelServer
    log: ContainerLog
    directory: Path


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
        self._endpoint_name = endpoint_name
        self._settings = settings
        self._objects = objects
        self._logs = logs
        self._executor = executor
        self._plans = {variant.name: variant for variant in plan.variants}
        self._members: dict[str, list[_Member]] = {name: [] for name in self._plans}
        self._variants = {
            variant.name: Variant(variant.name, variant.weight, []) for variant in plan.variants
        }
        serving = [self._variants[name] for name, each in self._plans.items() if not each.shadow]
        self.router = Router(serving)
        shadows = [self._variants[name] for name, each in self._plans.items() if each.shadow]
        self.shadow = Shadow(serving[0], shadows[0]) if shadows else None

    @property
    def servers(self) -> list[ModelServer]:
        """All instances' servers."""
        return [member.server for members in self._members.values() for member in members]

    def instances(self) -> list[Instance]:
        """All instances, with the process ids of their containers."""
        return [
            Instance(name, member.id, member.server.pid)
            for name, members in self._members.items()
            for member in members
        ]

    @property
    def counts(self) -> dict[str, int]:
        """Instances that are up, by variant."""
        return {name: len(members) for name, members in self._members.items()}

    def serves(self, variant: str) -> bool:
        """Whether requests can name this variant."""
        return variant in self._plans and not self._plans[variant].shadow

    async def start(self) -> None:
        """Bring all instances up side by side; returns when every one is ready and takes requests.

        Raises:
            FleetError: one does not come up; nothing is left running.
        """
        try:
            await self.scale(self.plan.counts)
        except BaseException:
            await self.stop(0)
            raise
        self.turn_on(self.plan.counts)

    async def resize(self, plan: FleetPlan) -> None:
        """Follow a plan with other weights, at once, and other counts; all instances take requests then.

        Raises:
            FleetError: a new instance does not come up; the instances are as they were.
        """
        for variant in plan.variants:
            self._variants[variant.name].weight = variant.weight
        await self.scale(plan.counts)
        self.turn_on(plan.counts)
        self.plan = plan
        self._plans = {variant.name: variant for variant in plan.variants}

    async def scale(self, counts: Mapping[str, int]) -> None:
        """Have so many instances of each variant; new ones take no requests before :meth:`turn_on`.

        Those that go finish their requests first.

        Raises:
            FleetError: a new one does not come up; none of the new ones is left.
        """
        fresh: list[tuple[str, _Member]] = []
        surplus: list[_Member] = []
        for name, count in counts.items():
            members = self._members[name]
            free = (number for number in range(count) if number not in {each.number for each in members})
            fresh += [(name, self._member(self._plans[name], number)) for number in free]
            surplus += [member for member in members if member.number >= count]
        await self._bring_up(fresh)
        self._take_out(surplus)
        await asyncio.gather(*(self._retire(member) for member in surplus))

    def turn_on(self, counts: Mapping[str, int]) -> None:
        """Let the first so many instances of each variant take requests, and no other."""
        for name, count in counts.items():
            members = sorted(self._members[name], key=lambda member: member.number)
            self._variants[name].servers = [member.server for member in members[:count]]

    async def drain(self) -> None:
        """Wait until no request is under way, for as long as one may take."""
        await _drained(self.servers)

    async def stop(self, grace_s: float = limits.SERVE_STOP_GRACE_S) -> None:
        """Stop all instances; their output is in the log store when this returns."""
        members = [member for each in self._members.values() for member in each]
        self._take_out(members)
        if self.shadow is not None:
            await self.shadow.stop()
        await asyncio.gather(*(_stop(member, grace_s) for member in members))

    def _member(self, variant: VariantPlan, number: int) -> _Member:
        name = instance_id()
        log = ContainerLog(self._logs, LOG_GROUP.format(self._endpoint_name), f"{variant.name}/{name}")
        directory = self.directory / f"{variant.name}-{number}"
        server = variant_server(
            variant,
            directory,
            environment=common(self._settings),
            executor=self._executor,
            objects=self._objects,
            log=log.write,
            start_timeout_s=variant.start_timeout_s or self._settings.ping_start_timeout_s,
        )
        return _Member(number, name, server, log, directory)

    async def _bring_up(self, fresh: Sequence[tuple[str, _Member]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name, member in fresh:
                    group.create_task(_start(name, member.server))
        except BaseException as error:
            await asyncio.gather(*(_stop(member, 0) for _, member in fresh))
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None
            raise
        for name, member in fresh:
            self._members[name].append(member)

    def _take_out(self, members: Sequence[_Member]) -> None:
        """From now on they get no new request."""
        gone = {id(member.server) for member in members}
        for name, kept in self._members.items():
            self._members[name] = [member for member in kept if id(member.server) not in gone]
            variant = self._variants[name]
            variant.servers = [server for server in variant.servers if id(server) not in gone]

    async def _retire(self, member: _Member) -> None:
        await _drained([member.server])
        await _stop(member, limits.SERVE_STOP_GRACE_S)
        await asyncio.to_thread(shutil.rmtree, member.directory, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            member.server.placed_marker.unlink()


async def _drained(servers: Sequence[ModelServer]) -> None:
    waited_s = 0.0
    while any(server.outstanding for server in servers) and waited_s < limits.INVOKE_TIMEOUT_S:
        await asyncio.sleep(DRAIN_POLL_S)
        waited_s += DRAIN_POLL_S


async def _stop(member: _Member, grace_s: float) -> None:
    await member.server.stop(grace_s)
    await member.log.close()


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
