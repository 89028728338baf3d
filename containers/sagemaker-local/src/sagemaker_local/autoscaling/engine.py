"""Application Auto Scaling at work: alarms and the clock ask for instances, the endpoint gets them.

Alarms call their policies again at each evaluation while they are in ALARM, so nothing is queued here: what
cannot be done now, because the endpoint is changing or a cool-down lasts, is decided anew the next time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sagemaker_local.autoscaling import activities, decisions, schedules
from sagemaker_local.autoscaling.decisions import Bounds
from sagemaker_local.autoscaling.resources import POLICY, SCHEDULE, TARGET, Variant
from sagemaker_local.autoscaling.tracking_alarms import HIGH, LOW
from sagemaker_local.cloudwatch.alarm_evaluator import Firing
from sagemaker_local.errors import AwsError
from sagemaker_local.store import NotFound, Record

if TYPE_CHECKING:
    from sagemaker_local.services import Services

logger = logging.getLogger(__name__)

ACTION_PREFIX = "arn:aws:autoscaling:"
DEFAULT_COOLDOWN_S = 300
TICK_S = 1.0
WATCH_S = 0.5
PURGE_INTERVAL_S = 3600.0


class AutoScaling:
    """Scales the variants of endpoints.

    Args:
        services: The server's parts.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tasks: set[asyncio.Task[None]] = set()
        self._scale = services.settings.scaling_time_scale
        self._looked_s = time.time()
        self._next_purge = 0.0

    async def start(self) -> None:
        """Follow what an earlier server began, and take orders."""
        for record in activities.open_activities(self._services.store):
            self._begin(self._follow(record.name, Variant(*record.private["variant"])))
        self._services.alarm_evaluator.actions[ACTION_PREFIX] = self.act
        self._begin(self._run_schedules())

    async def close(self) -> None:
        """Stop; what is under way is followed again by the next server."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Policies

    async def act(self, firing: Firing) -> None:
        """Carry out the policy that an alarm names.

        Raises:
            LookupError: there is no such policy.
        """
        try:
            policy = self._services.store.get_by_arn(firing.arn)
        except NotFound:
            raise LookupError(f"there is no scaling policy {firing.arn}") from None
        variant = Variant(*policy.private["variant"])
        target = self._services.store.get(TARGET, variant.resource_id)
        current = self.settled_count(variant)
        if current is None:
            return
        wanted = self._wanted(policy, firing, current)
        wanted = _bounds(target).hold(wanted)
        if wanted == current or _suspended(target, scale_out=wanted > current):
            return
        if not self._may(policy, target, wanted, current):
            return
        cause = (
            f"monitor alarm {firing.alarm.name} in state {firing.alarm.state} "
            f"triggered policy {policy.document['PolicyName']}"
        )
        activity_id = self._set_count(variant, wanted, cause, current)
        if activity_id is not None:
            last = {"activity": activity_id, "from": current, "to": wanted, "at": time.time()}
            with contextlib.suppress(NotFound):
                self._services.store.update(POLICY, policy.name, lambda each: each.private.update(last=last))

    def _wanted(self, policy: Record, firing: Firing, current: int) -> int:
        """What the policy wants; within its cool-down what the last activity added counts as added."""
        alarm = firing.alarm.document
        periods = alarm.get("EvaluationPeriods", 1)
        values = [value for _, value in firing.measurement.last(periods)] if firing.measurement else []
        base = self._base(policy, current)
        if (tracking := policy.document.get("TargetTrackingScalingPolicyConfiguration")) is not None:
            side = next((side for side in (HIGH, LOW) if f"-{side}-" in firing.alarm.name), HIGH)
            if side == LOW:
                if tracking.get("DisableScaleIn") or not self._all_agree(policy):
                    return current
                return decisions.target_tracked(values, tracking["TargetValue"], current, scale_out=False)
            wanted = decisions.target_tracked(values, tracking["TargetValue"], base, scale_out=True)
            return max(current, wanted)
        steps = policy.document["StepScalingPolicyConfiguration"]
        above = str(alarm.get("ComparisonOperator", "Greater")).startswith("Greater")
        threshold = alarm.get("Threshold", 0.0)
        wanted = decisions.step_scaled(steps, values[:1], threshold, base, above=above)
        if wanted > base:
            return max(current, wanted)
        return decisions.step_scaled(steps, values[:1], threshold, current, above=above)

    def _base(self, policy: Record, current: int) -> int:
        last = policy.private.get("last")
        if last and last["to"] > last["from"] and self._cooling(policy, last) and current == last["to"]:
            return int(last["from"])
        return current

    def _may(self, policy: Record, target: Record, wanted: int, current: int) -> bool:
        """Whether a cool-down lets instances go; coming they may exceed what the last activity added."""
        if wanted > current:
            last = policy.private.get("last")
            if not last or last["to"] < last["from"] or not self._cooling(policy, last):
                return True
            return bool(wanted > last["to"])
        ended = [record.private["last"] for record in self._policies(target) if record.private.get("last")]
        return not any(self._cooling(policy, last) for last in ended)

    def _cooling(self, policy: Record, last: Mapping[str, Any]) -> bool:
        document = policy.document
        if (tracking := document.get("TargetTrackingScalingPolicyConfiguration")) is not None:
            name = "ScaleOutCooldown" if last["to"] > last["from"] else "ScaleInCooldown"
            cooldown_s = tracking.get(name, DEFAULT_COOLDOWN_S)
        else:
            cooldown_s = document["StepScalingPolicyConfiguration"].get("Cooldown", DEFAULT_COOLDOWN_S)
        return time.time() < float(last["at"]) + float(cooldown_s) * self._scale

    def _policies(self, target: Record) -> list[Record]:
        return [
            each for each in self._services.store.list(POLICY) if each.document["ResourceId"] == target.name
        ]

    def _all_agree(self, policy: Record) -> bool:
        """Instances go only when every target tracking policy of the variant has some to spare."""
        resource_id = policy.document["ResourceId"]
        for other in self._services.store.list(POLICY):
            tracking = other.document.get("TargetTrackingScalingPolicyConfiguration")
            if (
                other.document["ResourceId"] != resource_id
                or tracking is None
                or tracking.get("DisableScaleIn")
            ):
                continue
            for alarm in other.document.get("Alarms", ()):
                with contextlib.suppress(KeyError):
                    if (
                        f"-{LOW}-" in alarm["AlarmName"]
                        and self._services.alarms.state(alarm["AlarmName"]) != "ALARM"
                    ):
                        return False
        return True

    # Endpoints

    def settled_count(self, variant: Variant) -> int | None:
        """Instances of a variant whose endpoint takes changes now, else None."""
        try:
            document = self._services.store.get("endpoint", variant.endpoint).document
        except NotFound:
            return None
        if document["EndpointStatus"] != "InService":
            return None
        counts = {each["VariantName"]: each.get("DesiredInstanceCount")
                  for each in document.get("ProductionVariants", ())}  # fmt: skip
        count = counts.get(variant.name)
        return None if count is None else int(count)

    def keep_within(self, target: Record, cause: str) -> None:
        """Bring a variant within its target's bounds; later when its endpoint is changing just now."""
        variant = Variant(*target.private["variant"])
        current = self.settled_count(variant)
        if current is None:
            self._note_bounds(target, cause)
            return
        wanted = _bounds(target).hold(current)
        if wanted != current:
            self._set_count(variant, wanted, cause, current)
        self._note_bounds(target, None)

    def _note_bounds(self, target: Record, cause: str | None) -> None:
        with contextlib.suppress(NotFound):
            self._services.store.update(
                TARGET, target.name, lambda record: record.private.update({"out_of_bounds": cause})
            )

    def _set_count(self, variant: Variant, count: int, cause: str, current: int) -> str | None:
        """Have the endpoint change; the activity's id, or None where it refuses."""
        store = self._services.store
        try:
            self._services.endpoints.set_capacities(variant.endpoint, {variant.name: (None, count)})
        except (AwsError, NotFound) as error:
            activities.refuse(store, variant, count, cause, str(error))
            return None
        logger.info("%s: %d → %d instances: %s", variant.resource_id, current, count, cause)
        activity_id = activities.begin(store, variant, count, cause)
        self._begin(self._follow(activity_id, variant))
        return activity_id

    async def _follow(self, activity_id: str, variant: Variant) -> None:
        """Wait until the endpoint has done what the activity wants, and note it; a cool-down begins then."""
        store = self._services.store
        while True:
            try:
                document = store.get("endpoint", variant.endpoint).document
            except NotFound:
                activities.end(store, activity_id, f"the endpoint {variant.endpoint} was deleted")
                return
            if document["EndpointStatus"] in ("InService", "Failed"):
                break
            await asyncio.sleep(WATCH_S)
        activities.end(store, activity_id, document.get("FailureReason"))
        for policy in store.list(POLICY):
            if policy.private.get("last", {}).get("activity") == activity_id:
                store.update(POLICY, policy.name, lambda each: each.private["last"].update(at=time.time()))

    # The clock

    async def _run_schedules(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self._tick(time.time())
            except Exception:  # one bad round must not be the last
                logger.exception(
                    "scheduled scaling actions were not looked at; tried again in %.0f s", TICK_S
                )

    def _tick(self, now_s: float) -> None:
        since_s, self._looked_s = self._looked_s, now_s
        store = self._services.store
        for action in store.list(SCHEDULE):
            due = schedules.due(action.document, action.private["anchor_s"], since_s, now_s)
            if due:
                self._act_by_schedule(action)
        for target in store.list(TARGET):
            if cause := target.private.get("out_of_bounds"):
                self.keep_within(target, cause)
        if now_s > self._next_purge:
            self._next_purge = now_s + PURGE_INTERVAL_S
            activities.purge(store)

    def _act_by_schedule(self, action: Record) -> None:
        store = self._services.store
        variant = Variant(*action.private["variant"])
        name = action.document["ScheduledActionName"]
        try:
            target = store.get(TARGET, variant.resource_id)
        except NotFound:
            return
        if target.document["SuspendedState"]["ScheduledScalingSuspended"]:
            return
        bounds = action.document.get("ScalableTargetAction", {})
        cause = f"scheduled action name {name} was triggered"

        def change(record: Record) -> None:
            record.document |= bounds

        target = store.update(TARGET, variant.resource_id, change)
        words = {"MinCapacity": "min capacity", "MaxCapacity": "max capacity"}
        what = " and ".join(f"{words[key]} to {bounds[key]}" for key in words if key in bounds)
        activities.note(store, variant, what, cause)
        for key, word in (("MinCapacity", "minimum"), ("MaxCapacity", "maximum")):
            if key in bounds:
                self.keep_within(target, f"{word} capacity was set to {bounds[key]}")
        if action.document["Schedule"].startswith("at("):
            with contextlib.suppress(NotFound):
                store.delete(SCHEDULE, action.name)


def _bounds(target: Record) -> Bounds:
    return Bounds(target.document["MinCapacity"], target.document["MaxCapacity"])


def _suspended(target: Record, *, scale_out: bool) -> bool:
    state = target.document["SuspendedState"]
    return bool(state["DynamicScalingOutSuspended" if scale_out else "DynamicScalingInSuspended"])
