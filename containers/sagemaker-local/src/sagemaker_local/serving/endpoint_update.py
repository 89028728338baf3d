"""An UpdateEndpoint from its record to its end, also across a restart of the server.

A server that ends in the middle of a deployment takes it up where it was: the old fleet serves first, the
new one comes up to the step that was reached, and that step's baking begins anew. One that ends while it
rolls back goes back. After the last baking there is only the new fleet.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Mapping
from typing import Any

from sagemaker_local.names import now
from sagemaker_local.serving import endpoint_summary
from sagemaker_local.serving.deployment import deployment
from sagemaker_local.serving.deployment_clock import DeploymentClock
from sagemaker_local.serving.deployment_rules import effective
from sagemaker_local.serving.endpoint_fleets import EndpointFleets
from sagemaker_local.serving.endpoint_records import EndpointRecords, failure_reason
from sagemaker_local.serving.fleet import Fleet, FleetError
from sagemaker_local.serving.fleet_plan import FleetPlan
from sagemaker_local.serving.rollout import Alarms, RollBackFailed, RolledBack, Rollout
from sagemaker_local.serving.traffic import Traffic

logger = logging.getLogger(__name__)

STATUSES: Mapping[str, tuple[str | None, str]] = {
    "Creating": (None, "Creating"),
    "ActivatingTraffic": (None, "ActivatingTraffic"),
    "Baking": (None, "Baking"),
    "Deleting": ("Deleting", "Baking"),
    "RollingBack": ("ActivatingTraffic", "Deleting"),
}
"""What a rollout does → VariantStatus of the old fleet's variants and of the new one's."""


class EndpointUpdate:
    """One update of one endpoint.

    Args:
        name: The endpoint.
        records: Holds it.
        fleets: Makes the new fleet and ends one of the two.
        serving: Who takes the requests of each endpoint.
        alarms: For automatic roll-backs.
        wait_scale: Of the deployment's waits.
    """

    def __init__(
        self,
        name: str,
        *,
        records: EndpointRecords,
        fleets: EndpointFleets,
        serving: dict[str, Traffic],
        alarms: Alarms,
        wait_scale: float,
    ) -> None:
        self._name = name
        self._records = records
        self._fleets = fleets
        self._serving = serving
        self._alarms = alarms
        private = records.get(name).private
        self._old_plan = FleetPlan.from_json(private["fleet"])
        self._new_plan = FleetPlan.from_json(private["pending"])
        self._progress: dict[str, Any] = private["deployment"]
        self._config = effective(self._progress["config"], self._new_plan)
        self._deployment = deployment(
            self._config, old=self._old_plan.serving_counts, new=self._new_plan.serving_counts
        )
        self._clock = DeploymentClock(wait_scale, self._progress["elapsed_s"])

    async def run(self) -> None:
        """From a fleet that serves to the next one."""
        traffic = self._serving[self._name]
        old, *others = traffic.fleets  # several where an earlier roll-back failed
        await self._roll_out(traffic, old, first=0)
        for fleet in others:
            await self._fleets.end(fleet)

    async def resume(self) -> None:
        """The same after a restart of the server: the old fleet comes first."""
        if self._progress["rolling_back"]:
            await self._resume_roll_back()
            return
        first = self._first_step()
        old = self._fleets.make(self._name, self._old_plan)
        up = {**self._old_plan.counts, **(self._deployment.steps[first - 1].old_up if first else {})}
        traffic = Traffic(old)
        with contextlib.suppress(FleetError):  # then the new fleet decides how the endpoint ends
            await old.scale(up)
            old.turn_on(up)
            self._serving[self._name] = traffic
        await self._roll_out(traffic, old, first)

    def _first_step(self) -> int:
        return min(int(self._progress["step"]), len(self._deployment.steps))

    async def _roll_out(self, traffic: Traffic, old: Fleet, first: int) -> None:
        new = self._fleets.make(self._name, self._new_plan)
        rollout = Rollout(
            self._deployment,
            config=self._config,
            traffic=traffic,
            old=old,
            new=new,
            alarms=self._alarms,
            clock=self._clock,
            report=functools.partial(self._report, old, new),
        )
        try:
            await rollout.run(first)
        except RolledBack as error:
            await self._fleets.end(new)
            self._rolled_back(error)
            return
        except RollBackFailed as error:
            await self._stay_mixed(traffic, old, new, error)
            return
        self._serving[self._name] = traffic
        self._records.set(
            self._name,
            private={"fleet": self._new_plan.to_json(), "pending": None, "deployment": None},
            PendingDeploymentSummary=None,
            FailureReason=None,
            **endpoint_summary.serving(self._new_plan),
        )
        await self._clock.wait(self._deployment.termination_wait_s)
        await self._fleets.end(old)
        self._records.set(self._name, EndpointStatus="InService")

    def _rolled_back(self, error: Exception | str) -> None:
        self._records.set(
            self._name,
            private={"pending": None, "deployment": None},
            EndpointStatus="InService",
            PendingDeploymentSummary=None,
            **{**endpoint_summary.serving(self._old_plan), "FailureReason": failure_reason(error)},
        )

    async def _stay_mixed(self, traffic: Traffic, old: Fleet, new: Fleet, error: Exception) -> None:
        """Neither config serves as a whole: with what there is, if there is anything."""
        for fleet in (old, new):
            if not any(fleet.counts.values()):
                await self._fleets.end(fleet)
        left = [fleet for fleet in (old, new) if any(fleet.counts.values())]
        if not left:
            self._serving.pop(self._name, None)
        elif len(left) == 1:
            traffic.split({left[0]: 1.0})
        stays = left[0].plan if len(left) == 1 else self._old_plan
        self._records.set(
            self._name,
            private={"deployment": None, "fleet": stays.to_json()},
            EndpointStatus="UpdateRollbackFailed" if left else "Failed",
            FailureReason=failure_reason(error),
            PendingDeploymentSummary=None,
        )

    async def _resume_roll_back(self) -> None:
        """The old fleet comes up whole at once: nothing of the new one runs any more."""
        try:
            old = await self._fleets.bring_up(self._name, self._old_plan)
        except FleetError as error:
            self._records.set(
                self._name,
                private={"pending": None, "deployment": None},
                EndpointStatus="Failed",
                PendingDeploymentSummary=None,
                FailureReason=failure_reason(error),
            )
            return
        self._serving[self._name] = Traffic(old)
        await self._fleets.remove(self._new_plan.id)
        self._rolled_back(self._progress["rolling_back"])

    def _report(self, old: Fleet, new: Fleet, step: int, what: str, why: str) -> None:
        """Write down how far it is, for people and for the next server."""
        steps = len(self._deployment.steps)
        logger.info("endpoint %s: step %d of %d: %s %s", self._name, step + 1, steps, what, why)
        self._progress = {
            **self._progress,
            "step": step,
            "elapsed_s": self._clock.elapsed_s,
            "rolling_back": why or None,
        }
        if what in ("ActivatingTraffic", "Baking"):
            why = f"Step {step + 1} of {steps}: {self._deployment.steps[step].share:.0%} of the traffic."
        old_status, new_status = STATUSES[what]
        self._records.set(
            self._name,
            private={"deployment": self._progress},
            **endpoint_summary.variants(self._old_plan, old.counts, _each(old, old_status, why)),
            PendingDeploymentSummary=endpoint_summary.pending(
                self._new_plan,
                started_at=self._progress["started_at"],
                counts=new.counts,
                statuses=_each(new, new_status, why),
            ),
        )


def _each(fleet: Fleet, status: str | None, why: str) -> dict[str, dict[str, Any]]:
    return {name: endpoint_summary.status(status, why) for name in fleet.counts} if status else {}


def begun(config: Mapping[str, Any]) -> dict[str, Any]:
    """``private["deployment"]`` of an update that begins."""
    return {"config": config, "step": 0, "elapsed_s": 0.0, "started_at": now(), "rolling_back": None}
