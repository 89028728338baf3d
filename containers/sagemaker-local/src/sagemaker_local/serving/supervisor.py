"""Endpoints as they live: brought up, replaced without losing a request, taken down, back after a restart.

The record in the store is the truth (:mod:`sagemaker_local.serving.endpoint_records`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from sagemaker_local.errors import ValidationException
from sagemaker_local.executors.base import Executor
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.names import now
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving import endpoint_summary
from sagemaker_local.serving.endpoint_fleets import EndpointFleets
from sagemaker_local.serving.endpoint_records import IN_PROGRESS, EndpointRecords, failure_reason
from sagemaker_local.serving.endpoint_update import EndpointUpdate
from sagemaker_local.serving.fleet import Fleet, FleetError
from sagemaker_local.serving.fleet_plan import FleetPlan
from sagemaker_local.serving.rollout import Alarms, NoAlarms
from sagemaker_local.serving.traffic import Traffic
from sagemaker_local.settings import Settings
from sagemaker_local.store import Record, Store

logger = logging.getLogger(__name__)

PLANS = ("fleet", "pending", "earlier_fleet")

CapacityChange = tuple[float | None, int | None]
"""A variant's desired weight and instance count; None leaves one as it is."""

Work = Callable[[str], Awaitable[None]]


class EndpointSupervisor:
    """Runs the fleets of all endpoints.

    Args:
        settings: The server's configuration.
        store: Holds the endpoints' records.
        objects: Holds the models' artefacts.
        logs: Takes the containers' output.
        executor: Runs the containers.
        alarms: Says which alarms are in ALARM while a deployment bakes.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        objects: ObjectStore,
        logs: LogStore,
        executor: Executor,
        alarms: Alarms | None = None,
    ) -> None:
        self._settings = settings
        self._alarms = alarms or NoAlarms()
        self._records = EndpointRecords(store)
        self._fleets = EndpointFleets(settings=settings, objects=objects, logs=logs, executor=executor)
        self._serving: dict[str, Traffic] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def traffic(self, name: str) -> Traffic | None:
        """Who takes an endpoint's requests now, or None when nobody does; during an update several fleets."""
        return self._serving.get(name)

    def serving(self) -> list[tuple[str, Traffic]]:
        """All endpoints that take requests now."""
        return list(self._serving.items())

    def fleet(self, name: str) -> Fleet | None:
        """The fleet of the config that an endpoint has, or None when nobody takes its requests."""
        traffic = self._serving.get(name)
        return traffic.fleets[0] if traffic else None

    async def start(self) -> None:
        """Take up every endpoint where an earlier server left it; they come up in the background."""
        take_up: dict[str, Work] = {
            "Creating": self._create,
            "InService": self._resume,
            "SystemUpdating": self._resume,
            "Updating": self._resume_update,
            "RollingBack": self._resume_resize,
            "UpdateRollbackFailed": self._resume_mixed,
            "Deleting": self._delete,
        }
        records = self._records.all()
        plans = (record.private.get(key) for record in records for key in PLANS)
        await self._fleets.keep_only(plan["id"] for plan in plans if plan)
        for record in records:
            if work := take_up.get(record.document["EndpointStatus"]):
                if work == self._resume:
                    self._records.set(record.name, EndpointStatus="SystemUpdating")
                self._begin(record.name, work)

    async def close(self) -> None:
        """Stop every process; the records stay for the next start."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._fleets.close()
        self._serving.clear()

    def create(self, name: str) -> None:
        """Bring up an endpoint whose record is ``Creating``."""
        self._begin(name, self._create)

    def update(self, name: str) -> None:
        """Carry out the deployment of an endpoint whose record is ``Updating``, with a ``pending`` plan."""
        self._begin(name, lambda name: self._update(name).run())

    def delete(self, name: str) -> None:
        """Take down an endpoint whose record is ``Deleting``; its record goes last."""
        self._begin(name, self._delete)

    def set_capacities(self, name: str, changes: Mapping[str, CapacityChange]) -> None:
        """Change weights and instance counts of an endpoint that is ``InService``; it is ``Updating`` then.

        Instances come and go in the background, and no request is lost. Where they do not come up the
        endpoint goes back to what it had (``RollingBack``) and says why in its FailureReason.

        Raises:
            NotFound: there is no such endpoint.
            ValidationException: it is not in service, or has no such variant.
        """

        def change(record: Record) -> None:
            require_settled(record)
            if record.document["EndpointStatus"] != "InService":
                raise ValidationException(f'Endpoint "{record.arn}" is not InService.')
            plan = FleetPlan.from_json(record.private["fleet"])
            if missing := sorted(changes.keys() - plan.counts.keys()):
                raise ValidationException(
                    f'The variant name(s) "{", ".join(missing)}" is/are not present within endpoint '
                    f'configuration "{plan.config_name}".'
                )
            desired = plan.resized(changes)
            updating = {
                variant.name: endpoint_summary.status("Updating")
                for variant in desired.variants
                if variant.instances != plan.counts[variant.name]
            }
            described = endpoint_summary.variants(desired, plan.counts, updating)
            record.private |= {"fleet": desired.to_json(), "earlier_fleet": plan.to_json()}
            record.document |= {"EndpointStatus": "Updating", "LastModifiedTime": now()}
            record.document |= {key: value for key, value in described.items() if value is not None}
            record.document.pop("FailureReason", None)

        self._records.change(name, change)
        self._begin(name, self._resize)

    def _begin(self, name: str, work: Work) -> None:
        task = asyncio.create_task(self._guarded(name, work))
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._forget(name, done))

    def _forget(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]

    async def _guarded(self, name: str, work: Work) -> None:
        """A defect of ours ends as a Failed endpoint that says so, not as one in progress for ever."""
        try:
            await work(name)
        except Exception as error:  # a defect of ours: it ends as failed and says so
            logger.exception("endpoint %s: a change failed", name)
            reason = f"Internal failure of the local SageMaker: {error!r}"
            self._records.set(name, EndpointStatus="Failed", FailureReason=failure_reason(reason))

    async def _create(self, name: str) -> None:
        await self._come_up(name, "fleet", FailureReason=None)

    async def _resume(self, name: str) -> None:
        """After a restart of the server: the same fleet again; its last FailureReason stays."""
        await self._come_up(name, "fleet")

    async def _resume_resize(self, name: str) -> None:
        """After a restart while instances came or went: those desired, else those that there were."""
        await self._come_up(name, "fleet", "earlier_fleet")

    async def _resume_mixed(self, name: str) -> None:
        """After a restart once a roll-back had failed: one config as a whole, the old one if it comes up."""
        await self._come_up(name, "fleet", "pending", status="UpdateRollbackFailed")

    async def _come_up(self, name: str, *keys: str, status: str = "InService", **fields: str | None) -> None:
        """Serve by the first of the stored plans that comes up; with none the endpoint has failed."""
        failed: FleetError | None = None
        for plan in (self._records.plan(name, key) for key in keys):
            if plan is None:
                continue
            try:
                self._serving[name] = Traffic(await self._fleets.bring_up(name, plan))
            except FleetError as error:
                failed = failed or error
                continue
            if failed:
                fields = {**fields, "FailureReason": failure_reason(failed)}
            described = endpoint_summary.serving(plan) | {"PendingDeploymentSummary": None} | fields
            private = {"fleet": plan.to_json(), "earlier_fleet": None}
            self._records.set(name, private=private, EndpointStatus=status, **described)
            return
        self._records.set(
            name,
            EndpointStatus="Failed",
            FailureReason=failure_reason(failed or "nothing to serve"),
            PendingDeploymentSummary=None,
        )

    async def _resize(self, name: str) -> None:
        """Weights at once, instances as they come up."""
        wanted, earlier = self._records.plan(name), self._records.plan(name, "earlier_fleet")
        assert wanted is not None
        assert earlier is not None
        (fleet,) = self._serving[name].fleets
        reason = None
        try:
            await fleet.resize(wanted)
        except FleetError as error:
            reason = failure_reason(error)
            self._records.set(name, EndpointStatus="RollingBack")
            await fleet.resize(earlier)
        self._records.set(
            name,
            private={"fleet": fleet.plan.to_json(), "earlier_fleet": None},
            EndpointStatus="InService",
            **endpoint_summary.serving(fleet.plan) | {"FailureReason": reason},
        )

    def _update(self, name: str) -> EndpointUpdate:
        return EndpointUpdate(
            name,
            records=self._records,
            fleets=self._fleets,
            serving=self._serving,
            alarms=self._alarms,
            wait_scale=self._settings.deployment_wait_scale,
        )

    async def _resume_update(self, name: str) -> None:
        if self._records.plan(name, "pending"):
            await self._update(name).resume()
        else:
            await self._resume_resize(name)

    async def _delete(self, name: str) -> None:
        traffic = self._serving.pop(name, None)
        for fleet in traffic.fleets if traffic else ():
            await self._fleets.end(fleet)
        for key in PLANS:
            if plan := self._records.plan(name, key):
                await self._fleets.remove(plan.id)
        self._records.delete(name)


def require_settled(record: Record) -> None:
    """Refuse a change while another is under way.

    Raises:
        ValidationException: in AWS's words, which are the same for DeleteEndpoint.
    """
    if record.document["EndpointStatus"] in IN_PROGRESS:
        raise ValidationException(f'Cannot update in-progress endpoint "{record.arn}".')
