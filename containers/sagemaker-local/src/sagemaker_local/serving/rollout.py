"""Carries a deployment out: two fleets, the traffic between them, alarms, and the way back.

Every request has somewhere to go at every moment: instances are up before they are turned on, and turned off
and drained before they end.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sagemaker_local.serving.deployment import Counts, Deployment, Step, roll_back_batches
from sagemaker_local.serving.deployment_clock import DeploymentClock
from sagemaker_local.serving.fleet import Fleet, FleetError
from sagemaker_local.serving.traffic import Traffic

ALARM_POLL_S = 0.5
"""Alarms are looked at so often during a baking period."""


class Alarms(Protocol):
    """Where alarms' states come from."""

    def state(self, name: str) -> str:
        """OK, ALARM or INSUFFICIENT_DATA; raises KeyError when there is no such alarm."""
        ...


class NoAlarms:
    """Alarms of a server that has none."""

    def state(self, name: str) -> str:
        """Raises KeyError."""
        raise KeyError(name)


class RolledBack(Exception):
    """The old fleet serves alone again; the message is the endpoint's FailureReason."""


class RollBackFailed(Exception):
    """The old fleet did not come back whole: both serve what they can; the message is the FailureReason."""


Report = Callable[[int, str, str], None]
"""Takes the number of the step, what is done (a VariantStatus of AWS, or ``RollingBack``), and why."""


class Rollout:
    """One deployment of one endpoint.

    Args:
        deployment: What to do.
        config: The DeploymentConfig that it comes from; says how to roll back.
        traffic: The endpoint's; the old fleet takes all of it, or what an interrupted rollout had reached.
        old: The fleet that serves.
        new: The fleet that is to serve; nothing of it runs yet.
        alarms: Says which alarms are in ALARM.
        clock: Counts the time.
        report: Hears how far it is, before each thing that is done.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        config: Mapping[str, Any],
        traffic: Traffic,
        old: Fleet,
        new: Fleet,
        alarms: Alarms,
        clock: DeploymentClock,
        report: Report,
    ) -> None:
        self._deployment = deployment
        self._config = config
        self._traffic = traffic
        self._old = old
        self._new = new
        self._alarms = alarms
        self._clock = clock
        self._report = report
        self._shadows = {each.name: each.instances for each in new.plan.variants if each.shadow}

    async def run(self, first: int = 0) -> None:
        """Do all steps from one on; returns when the new fleet takes everything and its last baking is over.

        The old fleet is not ended: what is left of it is the caller's, who may wait before.

        Raises:
            RolledBack: an alarm, a timeout, or a new instance that does not come up.
            RollBackFailed: one of these, and the old fleet did not come back either.
        """
        number = first
        try:
            if first:
                await self._reach(self._deployment.steps[first - 1])
            for number in range(first, len(self._deployment.steps)):
                await self._step(number, self._deployment.steps[number])
            self._traffic.split({self._new: 1.0})
        except (FleetError, TimeoutError, _Alarmed) as error:
            reason = _reason(error, self._deployment)
            self._report(number, "RollingBack", reason)
            await self._roll_back(reason)
            raise RolledBack(reason) from error

    async def _reach(self, step: Step) -> None:
        """Stand where an interrupted rollout stood after a step."""
        await self._new.scale({**step.new_up, **self._shadows})
        self._shift(step)

    async def _step(self, number: int, step: Step) -> None:
        self._report(number, "Creating", "")
        async with asyncio.timeout(self._time_left_s()):
            await self._new.scale({**step.new_up, **self._shadows})
        self._check_alarms()
        self._report(number, "ActivatingTraffic", "")
        self._shift(step)
        self._report(number, "Baking", "")
        await self._bake(step.bake_s)
        if self._old.counts != step.old_up and self._deployment.rolling:
            self._report(number, "Deleting", "")
            await self._old.scale(step.old_up)

    def _shift(self, step: Step) -> None:
        self._new.turn_on({**step.new_on, **self._shadows})
        self._traffic.split({self._old: 1 - step.share, self._new: step.share})

    async def _bake(self, bake_s: float) -> None:
        baked_s = 0.0
        self._check_alarms()
        while baked_s < bake_s:
            part_s = min(bake_s - baked_s, self._clock.slice_s(ALARM_POLL_S))
            await self._clock.wait(part_s)
            baked_s += part_s
            self._check_alarms()
            self._time_left_s()

    def _check_alarms(self) -> None:
        alarmed = [name for name in self._deployment.alarms if self._in_alarm(name)]
        if alarmed:
            raise _Alarmed(alarmed)

    def _in_alarm(self, name: str) -> bool:
        try:
            return self._alarms.state(name) == "ALARM"
        except KeyError:  # deleted meanwhile: nobody watches any more
            return False

    def _time_left_s(self) -> float | None:
        if self._deployment.timeout_s is None:
            return None
        left_s = self._deployment.timeout_s - self._clock.elapsed_s
        if left_s <= 0:
            raise TimeoutError
        return left_s

    async def _roll_back(self, reason: str) -> None:
        """All requests to the old fleet again: at once where it is whole, else in batches as it comes up."""
        whole = self._old.plan.counts
        try:
            for up in roll_back_batches(self._config, self._old.plan.counts):
                await self._grow_old(up)
                if self._old.counts != whole:
                    await self._shrink_new(up, whole)
        except FleetError as error:
            raise RollBackFailed(f"{reason} The roll-back failed as well: {error}") from error
        self._traffic.split({self._old: 1.0})

    async def _grow_old(self, up: Counts) -> None:
        there = self._old.counts
        more = {name: max(count, there.get(name, 0)) for name, count in up.items()}
        await self._old.scale(more)
        self._old.turn_on(more)

    async def _shrink_new(self, up: Counts, whole: Counts) -> None:
        share = sum(up.values()) / max(1, sum(whole.values()))
        self._traffic.split({self._old: share, self._new: 1 - share})
        # Rounded up: as long as it has a share it has an instance.
        fewer = {name: math.ceil(count * (1 - share)) for name, count in self._new.plan.counts.items()}
        there = self._new.counts
        await self._new.scale({name: min(count, there[name]) for name, count in fewer.items()})


class _Alarmed(Exception):
    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))


def _reason(error: Exception, deployment: Deployment) -> str:
    if isinstance(error, _Alarmed):
        return f"The deployment was rolled back: CloudWatch alarm(s) in ALARM state: {error}."
    if isinstance(error, TimeoutError):
        return (
            "The deployment was rolled back: it exceeded MaximumExecutionTimeoutInSeconds "
            f"({deployment.timeout_s:g})."
        )
    return str(error)
