"""Watches metrics on behalf of alarms: evaluates each when its period ends and sets off its actions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sagemaker_local.cloudwatch import alarm_rules, evaluation, transitions
from sagemaker_local.cloudwatch.alarms import COMPOSITE, METRIC, Alarm, AlarmStore
from sagemaker_local.cloudwatch.measurements import Measurement, measure, step_s
from sagemaker_local.cloudwatch.metric_store import MetricStore

logger = logging.getLogger(__name__)

TICK_S = 1.0
LATE_DATA_S = 1.0
"""A period is looked at so long after its end: its last values are on their way."""
ACTION_LISTS = {"OK": "OKActions", "ALARM": "AlarmActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
PURGE_INTERVAL_S = 3600.0


@dataclass(frozen=True, slots=True)
class Firing:
    """An action to carry out: of an alarm in its state, with what was measured (None by SetAlarmState)."""

    alarm: Alarm
    arn: str
    measurement: Measurement | None
    changed: bool


Action = Callable[[Firing], Awaitable[None]]
"""Carries out an action; an exception is its failure."""


class AlarmEvaluator:
    """Evaluates all alarms, as long as the server runs.

    Args:
        alarms: The alarms.
        metrics: What they watch.
    """

    def __init__(self, alarms: AlarmStore, metrics: MetricStore) -> None:
        self._alarms, self._metrics = alarms, metrics
        self._evaluated: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._next_purge = 0.0
        self._waiting: list[Firing] = []
        self._handing_over = threading.Lock()
        self.actions: dict[str, Action] = {}
        """Prefix of an action's ARN → who carries it out; filled by the parts that can."""

    async def start(self) -> None:
        """Begin to evaluate."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop evaluating."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                firings = await asyncio.to_thread(self.evaluate_due, time.time())
            except Exception:  # one bad round must not be the last
                logger.exception("alarms were not evaluated; tried again in %.0f s", TICK_S)
                continue
            for firing in firings:
                try:
                    await self._carry_out(firing)
                except Exception:  # the actions of other alarms must not be lost with it
                    logger.exception("action %s of alarm %s", firing.arn, firing.alarm.name)

    def fire(self, alarm: Alarm) -> None:
        """Have the actions of an alarm carried out whose state somebody set; they follow within a second."""
        firings = _firings(alarm, None, changed=True)
        with self._handing_over:
            self._waiting += firings

    def evaluate_due(self, now_s: float) -> list[Firing]:
        """Evaluate every alarm for which a period has ended, and say what is to be done.

        What is to be done already when an exception ends the round is said in the next one: the states that
        it follows from are set, and nobody would find it again.
        """
        with self._handing_over:
            firings, self._waiting = self._waiting, []
        try:
            self._evaluate_all(now_s, firings)
        except BaseException:
            with self._handing_over:
                self._waiting = firings + self._waiting
            raise
        return firings

    def _evaluate_all(self, now_s: float, firings: list[Firing]) -> None:
        alarms = self._alarms.all()
        names = {alarm.name for alarm in alarms}
        self._evaluated = {name: at for name, at in self._evaluated.items() if name in names}
        for alarm in alarms:
            if alarm.kind == METRIC:
                firings += self._evaluate(alarm, now_s)
        composites = [alarm for alarm in alarms if alarm.kind == COMPOSITE]
        if composites:
            states = {alarm.name: alarm.state for alarm in self._alarms.all()}
            for alarm in composites:
                firings += self._combine(alarm, states)
        if now_s > self._next_purge:
            self._next_purge = now_s + PURGE_INTERVAL_S
            self._alarms.purge()

    def _evaluate(self, alarm: Alarm, now_s: float) -> list[Firing]:
        step = step_s(alarm)
        end_s = int((now_s - LATE_DATA_S) // step * step)
        if self._evaluated.get(alarm.name, 0) >= end_s:
            return []
        self._evaluated[alarm.name] = end_s
        try:
            measurement = measure(self._metrics, alarm, end_s)
        except Exception as error:  # an alarm that cannot be read says so in its state
            logger.exception("alarm %s cannot be evaluated", alarm.name)
            changed = transitions.unreadable(self._alarms, alarm.name, error)
            return _firings(changed, None, changed=True) if changed else []
        document = alarm.document
        state = evaluation.evaluate(
            measurement.breaching,
            evaluation_periods=document["EvaluationPeriods"],
            datapoints_to_alarm=document.get("DatapointsToAlarm", document["EvaluationPeriods"]),
            treat_missing_data=document.get("TreatMissingData", "missing"),
            state=alarm.state,
        )
        with contextlib.suppress(KeyError):  # deleted meanwhile
            if state != alarm.state:
                alarm = transitions.by_measurement(self._alarms, alarm, state, measurement)
                return _firings(alarm, measurement, changed=True)
            return _firings(alarm, measurement, changed=False)
        return []

    def _combine(self, alarm: Alarm, states: dict[str, str]) -> list[Firing]:
        state = alarm_rules.state(alarm.document["AlarmRule"], states)
        if state == alarm.state:
            return []
        with contextlib.suppress(KeyError):
            changed = transitions.by_rule(self._alarms, alarm.name, state, states)
            return _firings(changed, None, changed=True)
        return []

    async def _carry_out(self, firing: Firing) -> None:
        action = next((do for prefix, do in self.actions.items() if firing.arn.startswith(prefix)), None)
        if action is None:
            if firing.changed:
                reason = "the local SageMaker has nobody who carries out such actions"
                self._alarms.note(firing.alarm, *transitions.action_note(firing.arn, reason))
            return
        failure = None
        try:
            await action(firing)
        except Exception as error:  # actions are of many services; the history tells
            logger.exception("alarm %s: action %s failed", firing.alarm.name, firing.arn)
            failure = f"{error!r}"
        if firing.changed or failure:
            self._alarms.note(firing.alarm, *transitions.action_note(firing.arn, failure))


def _firings(alarm: Alarm, measurement: Measurement | None, *, changed: bool) -> list[Firing]:
    """The actions of the alarm's state. Scaling policies are told again at each evaluation, as on AWS."""
    if not alarm.document.get("ActionsEnabled", True):
        return []
    arns = alarm.document.get(ACTION_LISTS[alarm.state], ())
    return [
        Firing(alarm, arn, measurement, changed)
        for arn in arns
        if changed or arn.startswith("arn:aws:autoscaling:")
    ]
