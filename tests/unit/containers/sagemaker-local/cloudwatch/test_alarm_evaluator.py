"""What is asked while alarms are being evaluated, in another thread, is not lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sagemaker_local.api.cloudwatch_alarms import put_alarm
from sagemaker_local.cloudwatch import alarm_evaluator, measurements, transitions
from sagemaker_local.cloudwatch.alarm_evaluator import AlarmEvaluator
from sagemaker_local.cloudwatch.alarms import METRIC, Alarm, AlarmStore
from sagemaker_local.cloudwatch.metric_store import MetricStore

NOW_S = 1_800_000_000.0
DEFINITION = {
    "AlarmName": "a",
    "Namespace": "N",
    "MetricName": "m",
    "Statistic": "Maximum",
    "Period": 10,
    "EvaluationPeriods": 1,
    "Threshold": 5.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "AlarmActions": ["arn:aws:sns:us-east-1:123456789012:t"],
}


class Watched:
    """A store of alarms and metrics, and what evaluates them."""

    def __init__(self, directory: Path) -> None:
        self.alarms, self.metrics = AlarmStore(directory), MetricStore(directory)
        self.evaluator = AlarmEvaluator(self.alarms, self.metrics)
        settings = SimpleNamespace(region="us-east-1", account="123456789012")
        self.services: Any = SimpleNamespace(alarms=self.alarms, settings=settings)

    def put(self, **more: Any) -> Alarm:
        return put_alarm(self.services, METRIC, {**DEFINITION, **more})

    def set(self, state: str) -> Alarm:
        return transitions.set_state(self.alarms, "a", state, "by hand", None)

    def fired(self) -> list[str]:
        return [firing.alarm.name for firing in self.evaluator.evaluate_due(NOW_S)]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.metrics.close()
    made.alarms.close()


def test_an_alarm_set_while_a_round_begins_fires_in_the_next_one(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.put(TreatMissingData="ignore")
    list_actions = alarm_evaluator._firings

    def meanwhile_a_round(*arguments: Any, **more: Any) -> Any:
        monkeypatch.undo()
        assert watched.fired() == []
        return list_actions(*arguments, **more)

    monkeypatch.setattr(alarm_evaluator, "_firings", meanwhile_a_round)
    watched.evaluator.fire(watched.set("ALARM"))
    assert watched.fired() == ["a"]
    assert watched.fired() == []


def test_a_round_that_fails_loses_no_action(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.put(TreatMissingData="ignore")
    watched.evaluator.fire(watched.set("ALARM"))

    def fail() -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(watched.alarms, "all", fail)
        with pytest.raises(OSError, match="disk full"):
            watched.evaluator.evaluate_due(NOW_S)
    assert watched.fired() == ["a"]


def test_an_alarm_may_get_more_periods_while_it_is_measured(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.put()
    watched.metrics.put("N", "m", {}, 7.0, at_s=NOW_S - 5)
    measure = measurements.measure

    def then_redefined(*arguments: Any) -> Any:
        found = measure(*arguments)
        watched.put(EvaluationPeriods=50)
        return found

    monkeypatch.setattr(alarm_evaluator, "measure", then_redefined)
    assert watched.evaluator.evaluate_due(NOW_S + 11)[0].alarm.state == "ALARM"
    assert watched.alarms.get("a").document["EvaluationPeriods"] == 50


def test_an_alarm_that_is_evaluated_while_it_is_redefined_keeps_the_new_state(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.put()
    look = watched.alarms.get

    def then_evaluated(name: str) -> Alarm:
        monkeypatch.undo()
        found = look(name)
        watched.set("ALARM")
        return found

    monkeypatch.setattr(watched.alarms, "get", then_evaluated)
    put = watched.put(Threshold=6.0)
    kept = watched.alarms.get("a").document
    assert (kept["StateValue"], kept["StateReason"], kept["Threshold"]) == ("ALARM", "by hand", 6.0)
    assert put.state == "ALARM"
