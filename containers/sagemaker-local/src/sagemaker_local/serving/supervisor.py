"""Endpoints as they live: brought up, replaced without losing a request, taken down, back after a restart.

The record in the store is the truth: ``private["fleet"]`` is what serves (or is to serve) and
``private["pending"]`` what an update is bringing up. What the server was doing when it was killed
follows from the status.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from sagemaker_local import limits
from sagemaker_local.errors import ValidationException
from sagemaker_local.executors.base import Executor
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.names import now
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving import endpoint_summary
from sagemaker_local.serving.fleet import Fleet, FleetError
from sagemaker_local.serving.fleet_plan import FleetPlan
from sagemaker_local.serving.traffic import Traffic
from sagemaker_local.settings import Settings
from sagemaker_local.store import NotFound, Record, Store

logger = logging.getLogger(__name__)

KIND = "endpoint"
SHUTDOWN_GRACE_S = 5.0
"""Between SIGTERM and SIGKILL of model servers when this server stops."""

IN_PROGRESS = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
"""Statuses in which AWS takes no other change."""

CapacityChange = tuple[float | None, int | None]
"""A variant's desired weight and instance count; None leaves one as it is."""


class EndpointSupervisor:
    """Runs the fleets of all endpoints.

    Args:
        settings: The server's configuration.
        store: Holds the endpoints' records.
        objects: Holds the models' artefacts.
        logs: Takes the containers' output.
        executor: Runs the containers.
    """

    def __init__(
        self, *, settings: Settings, store: Store, objects: ObjectStore, logs: LogStore, executor: Executor
    ) -> None:
        self._settings = settings
        self._store = store
        self._objects = objects
        self._logs = logs
        self._executor = executor
        self._directory = settings.data_dir / "endpoints"
        self._serving: dict[str, Traffic] = {}
        self._fleets: set[Fleet] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def traffic(self, name: str) -> Traffic | None:
        """Who takes an endpoint's requests now, or None when nobody does; during an update several fleets."""
        return self._serving.get(name)

    def fleet(self, name: str) -> Fleet | None:
        """The fleet of the config that an endpoint has now, or None."""
        traffic = self._serving.get(name)
        return traffic.fleets[0] if traffic else None

    async def start(self) -> None:
        """Take up every endpoint where an earlier server left it; they come up in the background."""
        take_up: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
            "Creating": self._create,
            "InService": self._resume,
            "SystemUpdating": self._resume,
            "Updating": self._resume_update,
            "RollingBack": self._resume_resize,
            "Deleting": self._delete,
        }
        kept = set()
        for record in self._store.list(KIND):
            kept |= {self._fleet_directory(record.private[key]["id"]) for key in ("fleet", "pending")
                     if record.private.get(key)}  # fmt: skip
            if step := take_up.get(record.document["EndpointStatus"]):
                if step == self._resume:
                    self._set(record.name, EndpointStatus="SystemUpdating")
                self._begin(record.name, step)
        leftovers = set(self._directory.iterdir()) - kept if self._directory.exists() else set()
        for directory in leftovers:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def close(self) -> None:
        """Stop every process; the records stay for the next start."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(fleet.stop(SHUTDOWN_GRACE_S) for fleet in self._fleets))
        self._serving.clear()
        self._fleets.clear()

    def create(self, name: str) -> None:
        """Bring up an endpoint whose record is ``Creating``."""
        self._begin(name, self._create)

    def update(self, name: str) -> None:
        """Replace the fleet of an endpoint whose record is ``Updating``, by ``private["pending"]``."""
        self._begin(name, self._update)

    def set_capacities(self, name: str, changes: Mapping[str, CapacityChange]) -> None:
        """Change weights and instance counts of an endpoint that is ``InService``; it is ``Updating`` then.

        Instances come and go in the background, and no request is lost. Where they do not come up the
        endpoint goes back to what it had (``RollingBack``) and says why in its FailureReason.

        Raises:
            NotFound: there is no such endpoint.
            ValidationException: it is not in service, or has no such variant.
        """

        def change(record: Record) -> None:
            if record.document["EndpointStatus"] != "InService":
                raise ValidationException(f'Cannot update in-progress endpoint "{record.arn}".')
            plan = FleetPlan.from_json(record.private["fleet"])
            if missing := sorted(changes.keys() - plan.counts.keys()):
                raise ValidationException(
                    f'The variant name(s) "{", ".join(missing)}" is/are not present within endpoint '
                    f'configuration "{plan.config_name}".'
                )
            desired = plan.resized(changes)
            record.private |= {"fleet": desired.to_json(), "earlier_fleet": plan.to_json()}
            record.document |= {"EndpointStatus": "Updating", "LastModifiedTime": now()}
            record.document |= _without_none(endpoint_summary.variants(desired, plan.counts))
            record.document.pop("FailureReason", None)

        self._store.update(KIND, name, change)
        self._begin(name, self._resize)

    def delete(self, name: str) -> None:
        """Take down an endpoint whose record is ``Deleting``; its record goes last."""
        self._begin(name, self._delete)

    def _begin(self, name: str, step: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.create_task(self._guarded(name, step))
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._forget(name, done))

    def _forget(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]

    async def _guarded(self, name: str, step: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """A defect of ours ends as a Failed endpoint that says so, not as one in progress for ever."""
        try:
            await step(name)
        except Exception as error:
            logger.exception("endpoint %s: %s failed", name, step.__name__)
            reason = f"Internal failure of the local SageMaker: {error!r}"
            self._set(name, EndpointStatus="Failed", FailureReason=reason)

    async def _create(self, name: str) -> None:
        plan = FleetPlan.from_json(self._store.get(KIND, name).private["fleet"])
        try:
            self._serving[name] = Traffic(await self._bring_up(name, plan))
        except FleetError as error:
            self._set(name, EndpointStatus="Failed", FailureReason=_reason(error))
            return
        self._set(name, EndpointStatus="InService", **_described(plan))

    async def _resize(self, name: str) -> None:
        """Weights at once, instances as they come up."""
        record = self._store.get(KIND, name)
        wanted, earlier = (FleetPlan.from_json(record.private[key]) for key in ("fleet", "earlier_fleet"))
        (fleet,) = self._serving[name].fleets
        fleet.weigh({variant.name: variant.weight for variant in wanted.variants})
        reason = None
        try:
            await fleet.resize(wanted)
        except FleetError as error:
            reason = _reason(error)
            self._set(name, EndpointStatus="RollingBack")
            fleet.weigh({variant.name: variant.weight for variant in earlier.variants})
            await fleet.resize(earlier)
        stored = {"fleet": fleet.plan.to_json(), "earlier_fleet": None}
        described = {**_described(fleet.plan), "FailureReason": reason}
        self._set(name, private=stored, EndpointStatus="InService", **described)

    async def _resume(self, name: str) -> None:
        """After a restart of the server: the same fleet again; its last FailureReason stays."""
        plan = FleetPlan.from_json(self._store.get(KIND, name).private["fleet"])
        try:
            self._serving[name] = Traffic(await self._bring_up(name, plan))
        except FleetError as error:
            self._set(name, EndpointStatus="Failed", FailureReason=_reason(error))
            return
        self._set(name, EndpointStatus="InService")

    async def _resume_update(self, name: str) -> None:
        """After a restart of the server in an update: the old fleet serves again, then the update goes on."""
        record = self._store.get(KIND, name)
        if not record.private.get("pending"):
            return await self._resume_resize(name)
        plan = FleetPlan.from_json(record.private["fleet"])
        with contextlib.suppress(FleetError):  # the update decides how the endpoint ends
            self._serving[name] = Traffic(await self._bring_up(name, plan))
        await self._update(name)

    async def _resume_resize(self, name: str) -> None:
        """After a restart while instances came or went: those desired, else those that there were."""
        private = self._store.get(KIND, name).private
        for key in ("fleet", "earlier_fleet"):
            plan = FleetPlan.from_json(private[key])
            try:
                self._serving[name] = Traffic(await self._bring_up(name, plan))
            except FleetError as error:
                failed = error
                continue
            stored = {"fleet": plan.to_json(), "earlier_fleet": None}
            self._set(name, private=stored, EndpointStatus="InService", **_described(plan))
            return
        self._set(name, EndpointStatus="Failed", FailureReason=_reason(failed))

    async def _update(self, name: str) -> None:
        """The new fleet beside the old one, then the switch, then the old one drained and stopped."""
        record = self._store.get(KIND, name)
        plan = FleetPlan.from_json(record.private["pending"])
        try:
            fleet = await self._bring_up(name, plan)
        except FleetError as error:
            status = "InService" if name in self._serving else "Failed"
            self._set(name, private={"pending": None}, PendingDeploymentSummary=None,
                      EndpointStatus=status, FailureReason=_reason(error))  # fmt: skip
            return
        old = self.fleet(name)
        self._serving[name] = Traffic(fleet)
        self._set(name, private={"fleet": record.private["pending"], "pending": None}, **_described(plan))
        if old is not None:
            await asyncio.sleep(record.private.get("termination_wait_s", 0))
            await old.drain()
            await self._take_down(old)
        self._set(name, EndpointStatus="InService", PendingDeploymentSummary=None)

    async def _delete(self, name: str) -> None:
        traffic = self._serving.pop(name, None)
        for fleet in traffic.fleets if traffic else ():
            await fleet.drain()
            await self._take_down(fleet)
        plan = self._store.get(KIND, name).private["fleet"]
        await asyncio.to_thread(shutil.rmtree, self._fleet_directory(plan["id"]), ignore_errors=True)
        self._store.delete(KIND, name)

    async def _bring_up(self, name: str, plan: FleetPlan) -> Fleet:
        fleet = Fleet(
            plan,
            endpoint_name=name,
            directory=self._fleet_directory(plan.id),
            settings=self._settings,
            objects=self._objects,
            logs=self._logs,
            executor=self._executor,
        )
        try:
            await fleet.start()
        except FleetError:
            await asyncio.to_thread(shutil.rmtree, fleet.directory, ignore_errors=True)
            raise
        self._fleets.add(fleet)
        return fleet

    async def _take_down(self, fleet: Fleet) -> None:
        await fleet.stop()
        self._fleets.discard(fleet)
        await asyncio.to_thread(shutil.rmtree, fleet.directory, ignore_errors=True)

    def _fleet_directory(self, fleet_id: str) -> Path:
        return self._directory / fleet_id

    def _set(self, name: str, *, private: dict[str, Any] | None = None, **fields: Any) -> None:
        """Write fields of an endpoint; None removes one."""

        def change(record: Record) -> None:
            record.document |= {**fields, "LastModifiedTime": now()}
            record.document = {key: value for key, value in record.document.items() if value is not None}
            record.private |= private or {}

        with contextlib.suppress(NotFound):  # deleted meanwhile
            self._store.update(KIND, name, change)


def _reason(error: FleetError) -> str:
    return str(error)[: limits.FAILURE_REASON_CHARACTERS]


def _described(plan: FleetPlan) -> dict[str, Any]:
    """The fields of DescribeEndpoint that tell what serves."""
    return {"FailureReason": None, **endpoint_summary.serving(plan)}


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
