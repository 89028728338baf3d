"""Changes of an alarm's state, in the words in which CloudWatch gives their reason."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Mapping
from typing import Any

from sagemaker_local.cloudwatch import alarm_rules
from sagemaker_local.cloudwatch.alarms import Alarm, AlarmStore
from sagemaker_local.cloudwatch.evaluation import COMPARISON_TEXTS, COMPARISONS
from sagemaker_local.cloudwatch.measurements import Measurement

REASON_CHARACTERS = 1023
HISTORY_DATA_CHARACTERS = 4095
UNCHECKED = "Unchecked: Initial alarm creation"


def set_state(
    store: AlarmStore, name: str, state: str, reason: str, data: Mapping[str, Any] | str | None
) -> Alarm:
    """Set an alarm's state and note it in its history.

    Raises:
        KeyError: there is no such alarm.
    """
    text = data if isinstance(data, str) else json.dumps(data) if data is not None else None
    with store.changing(name) as (alarm, notes):
        before = _told(alarm)
        document, at = alarm.document, time.time()
        if document["StateValue"] != state:
            alarm.private["earlier_state"] = document["StateValue"]
            document["StateTransitionedTimestamp"] = at
        document |= {
            "StateValue": state,
            "StateReason": reason[:REASON_CHARACTERS],
            "StateUpdatedTimestamp": at,
        }
        document.pop("StateReasonData", None)
        if text is not None:
            document["StateReasonData"] = text
        summary = f"Alarm updated from {before['stateValue']} to {state}"
        notes.append(
            ("StateUpdate", summary, {"version": "1.0", "oldState": before, "newState": _told(alarm)})
        )
    return alarm


def by_measurement(store: AlarmStore, alarm: Alarm, state: str, measurement: Measurement) -> Alarm:
    """Set the state that follows from data points, by the definition that they were measured for."""
    document = alarm.document
    data = {
        "version": "1.0",
        "queryDate": stamp(time.time()),
        "startDate": stamp(measurement.times[-document["EvaluationPeriods"]]),
        "statistic": document.get("Statistic") or document.get("ExtendedStatistic"),
        "period": measurement.period_s,
        "recentDatapoints": [value for _, value in measurement.last(document["EvaluationPeriods"])][::-1],
        "threshold": document["Threshold"],
        "evaluatedDatapoints": [
            {"timestamp": stamp(at), "value": value}
            for at, value in measurement.last(document["EvaluationPeriods"])
        ],
    }
    known = {key: value for key, value in data.items() if value is not None}
    return set_state(store, alarm.name, state, reason(document, state, measurement), known)


def reason(document: Mapping[str, Any], state: str, measurement: Measurement) -> str:
    """Why data points lead to a state."""
    periods = document["EvaluationPeriods"]
    needed = document.get("DatapointsToAlarm", periods)
    points = measurement.last(periods)
    missing = periods - len(points)
    treatment = document.get("TreatMissingData", "missing")
    if state == "INSUFFICIENT_DATA":
        return f"Insufficient Data: {_counted(missing)} {_was(missing)} unknown."
    if not points:
        word = {"breaching": "Breaching", "notBreaching": "NonBreaching"}.get(treatment, "Missing")
        return (
            f"Threshold Crossed: no datapoints were received for {periods} period{'s'[: periods != 1]} and "
            f"{missing} missing datapoint{'s'[: missing != 1]} {_was(missing)} treated as [{word}]."
        )
    compare, threshold = COMPARISONS[document["ComparisonOperator"]], document["Threshold"]
    alarming = state == "ALARM"
    listed = [(at, value) for at, value in points if compare(value, threshold) == alarming] or points
    shown = ", ".join(
        f"{value} ({datetime.datetime.fromtimestamp(at, datetime.UTC):%d/%m/%y %H:%M:%S})"
        for at, value in listed
    )
    minimum = needed if alarming else periods - needed + 1
    change = "OK -> ALARM" if alarming else "ALARM -> OK"
    return (
        f"Threshold Crossed: {len(listed)} out of the last {periods} datapoints [{shown}] "
        f"{_was(len(listed))} "
        f"{'' if alarming else 'not '}{COMPARISON_TEXTS[document['ComparisonOperator']]} the threshold "
        f"({float(threshold)}) (minimum {_counted(minimum)} for {change} transition)."
    )


def by_rule(store: AlarmStore, name: str, state: str, states: Mapping[str, str]) -> Alarm:
    """Set the state of a composite alarm."""
    rule = store.get(name).document["AlarmRule"]
    named = [each for each in alarm_rules.alarms_of(rule) if each in states]
    children = ", ".join(f"{each} is {states[each]}" for each in named) or "no alarm of its rule exists"
    text = f"The alarm rule evaluated to {state}: {children}"
    data = {"triggeringAlarms": [{"arn": store.get(each).document["AlarmArn"],
                                  "state": {"value": states[each]}} for each in named]}  # fmt: skip
    return set_state(store, name, state, text, data)


def unreadable(store: AlarmStore, name: str, error: Exception) -> Alarm | None:
    """An alarm whose metrics cannot be read has insufficient data; None when it had before."""
    try:
        if store.state(name) == "INSUFFICIENT_DATA":
            return None
        return set_state(store, name, "INSUFFICIENT_DATA", f"Evaluation error: {error}", None)
    except KeyError:
        return None


def action_note(arn: str, failure: str | None) -> tuple[str, str, dict[str, Any]]:
    """What an alarm's history says of an action."""
    if failure is None:
        data = {"version": "1.0", "actionState": "Succeeded", "notificationResource": arn}
        return "Action", f"Successfully executed action {arn}"[:255], data
    data = {"version": "1.0", "actionState": "Failed", "notificationResource": arn, "error": failure}
    return "Action", f"Failed to execute action {arn}"[:255], data


def stamp(at_s: float) -> str:
    """A time as StateReasonData has it."""
    at = datetime.datetime.fromtimestamp(at_s, datetime.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000"


def _told(alarm: Alarm) -> dict[str, Any]:
    """A state as the history tells it."""
    state = {"stateValue": alarm.document["StateValue"], "stateReason": alarm.document["StateReason"]}
    data = alarm.document.get("StateReasonData")
    if data:
        try:
            state["stateReasonData"] = json.loads(data)
        except ValueError:
            state["stateReasonData"] = data
    return state


def _counted(number: int) -> str:
    return f"{number} datapoint{'' if number == 1 else 's'}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"
