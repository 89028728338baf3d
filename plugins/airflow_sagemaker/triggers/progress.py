"""How far a job is, in words and as a small record: what Describe and the job's own log tell.

Secondary statuses: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_SecondaryStatusTransition.html
Metrics: https://docs.aws.amazon.com/sagemaker/latest/dg/training-metrics.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_sagemaker.kinds import KINDS, JobKind
from airflow_sagemaker.triggers.progress_store import TaskXCom

PROGRESS_KEY = "progress"
PUBLISH_INTERVAL_S = 30.0
REFRESH_INTERVAL_S = 300.0
"""Where nothing is new but the time that has passed."""
METRICS_KEPT = 40
"""As many metrics as a job may define. Source: AlgorithmSpecification in the API reference."""
LINE_LIMIT = 4096
"""Metrics are looked for in so much of a line: a regular expression must not hold up every other trigger."""
FREE_OF_CHARGE = frozenset({"compilation_job"})


class Progress:
    """What of a job's progress has been told, and what is new.

    :param kind: key of :data:`airflow_sagemaker.kinds.KINDS`, or a kind
    :param metric_definitions: as in the request, ``[{"Name": …, "Regex": …}]``: metrics to find in its log
    :param store: where to publish the record, an XCom of the task
    """

    def __init__(
        self,
        kind: str | JobKind,
        *,
        metric_definitions: Iterable[Mapping[str, str]] = (),
        store: TaskXCom | None = None,
    ) -> None:
        self.kind = KINDS[kind] if isinstance(kind, str) else kind
        self.metrics: dict[str, float] = {}
        self.state: dict[str, Any] = {}
        self._patterns = _patterns(metric_definitions)
        self._store = store
        self._told_transitions = 0
        self._last_message = ""
        self._told_status = ""
        self._told_metrics: dict[str, float] = {}
        self._moments = _Moments()
        self._published: tuple[Any, ...] = ()
        self._published_s = float("-inf")

    async def resume(self) -> None:
        """Take up what another triggerer has told."""
        kept = await self._store.load() if self._store is not None else None
        if not isinstance(kept, Mapping):
            return
        self._told_transitions = int(kept.get("transitions", 0))
        self._last_message = str(kept.get("message", ""))
        self._told_status = str(kept.get("status", ""))
        self.metrics = {str(name): float(value) for name, value in kept.get("metrics", {}).items()}
        self._told_metrics = dict(self.metrics)

    def seen(self, status: str) -> None:
        """Note a status that a list showed."""
        if not self.state:
            self.state = {
                "status": status,
                "secondary": None,
                "message": self._last_message,
                "transitions": self._told_transitions,
            }
        self.state["status"] = status

    def note(self, described: Mapping[str, Any], *, now_s: float | None = None) -> list[str]:
        """Lines for what is new in a Describe answer."""
        now_s = time.time() if now_s is None else now_s
        status, ended = self.kind.status(described), self.kind.end(described) is not None
        transitions: Sequence[Mapping[str, Any]] = described.get("SecondaryStatusTransitions") or []
        self._moments = self._read_moments(described)
        times = self._moments.times(now_s)
        for metric in described.get("FinalMetricDataList") or []:
            self._measured(str(metric["MetricName"]), float(metric["Value"]))
        lines = self._new_transitions(transitions)
        if not transitions and status != self._told_status:
            lines.append(status)
        if ended and status != self._told_status:
            lines = [line for line in lines if line != status]
            lines.append(f"{status} after {_words(times)}")
            if self.metrics and self.metrics != self._told_metrics:
                lines.append(f"Metrics: {_listed(self.metrics)}")
                self._told_metrics = dict(self.metrics)
        self._told_status = status
        self.state = {
            "status": status,
            "secondary": described.get("SecondaryStatus"),
            "message": self._last_message,
            "transitions": len(transitions),
        }
        return lines

    def listen(self, text: str) -> None:
        """Find metrics in a line of the job's log, by the job's own expressions."""
        for name, pattern in self._patterns:
            if match := pattern.search(text, 0, LINE_LIMIT):
                try:
                    self._measured(name, float(match[1] if pattern.groups else match[0]))
                except (TypeError, ValueError):
                    continue

    async def publish(self, *, now_s: float | None = None, at_once: bool = False) -> None:
        """Leave the record where the task's page shows it: now and then, and when there is something new."""
        now_s = time.monotonic() if now_s is None else now_s
        if self._store is None or not self.state:
            return
        known = (
            self.state["status"],
            self.state["secondary"],
            self.state["message"],
            tuple(self.metrics.items()),
        )
        interval_s = REFRESH_INTERVAL_S if known == self._published else PUBLISH_INTERVAL_S
        if now_s - self._published_s < interval_s and not (at_once and known != self._published):
            return
        self._published_s = now_s
        record = {**self.state, **self._moments.times(time.time()), "metrics": self.metrics}
        if await self._store.save(record):
            self._published = known

    def _new_transitions(self, transitions: Sequence[Mapping[str, Any]]) -> list[str]:
        lines = []
        # AWS writes the message of the latest transition anew while that goes on.
        for number, transition in enumerate(transitions, start=1):
            message = str(transition.get("StatusMessage") or "")
            newest = number == len(transitions)
            if number > self._told_transitions or (newest and message != self._last_message):
                lines.append(": ".join(filter(None, (str(transition["Status"]), message))))
            if newest:
                self._last_message = message
        self._told_transitions = max(self._told_transitions, len(transitions))
        return lines

    def _read_moments(self, described: Mapping[str, Any]) -> _Moments:
        noun = self.kind.title.removesuffix("Job")
        billed = described.get("BillableTimeInSeconds")
        return _Moments(
            created_s=_seconds(described, "CreationTime"),
            started_s=None
            if self.kind.operation in FREE_OF_CHARGE
            else _seconds(described, f"{noun}StartTime"),
            ended_s=_seconds(described, f"{noun}EndTime"),
            billed_s=None if billed is None else int(billed),
        )

    def _measured(self, name: str, value: float) -> None:
        if name in self.metrics or len(self.metrics) < METRICS_KEPT:
            self.metrics[name] = value


@dataclass(frozen=True)
class _Moments:
    """When what happened, in seconds since the epoch, and what AWS bills."""

    created_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    billed_s: int | None = None

    def times(self, now_s: float) -> dict[str, int]:
        times: dict[str, int] = {}
        until_s = now_s if self.ended_s is None else self.ended_s
        if self.created_s is not None:
            times["elapsed_s"] = round(max(until_s - self.created_s, 0))
        if self.billed_s is not None:
            times["billable_s"] = self.billed_s
        elif self.started_s is not None:
            times["billable_s"] = round(max(until_s - self.started_s, 0))
        return times


class ProgressXCom(TaskXCom):
    """The record as an XCom of the task."""

    def __init__(self, task_instance: Any) -> None:
        super().__init__(task_instance, PROGRESS_KEY)


def _patterns(definitions: Iterable[Mapping[str, str]]) -> list[tuple[str, re.Pattern[str]]]:
    patterns = []
    for definition in definitions:
        try:
            patterns.append((definition["Name"], re.compile(definition["Regex"])))
        except re.error:  # AWS takes what Python does not; the final metrics come with Describe
            continue
    return patterns[:METRICS_KEPT]


def _seconds(described: Mapping[str, Any], field: str) -> float | None:
    moment = described.get(field)
    return None if moment is None else float(moment.timestamp())


def _words(times: Mapping[str, int]) -> str:
    words = [f"{times['elapsed_s']} s" if "elapsed_s" in times else "an unknown time"]
    if "billable_s" in times:
        words.append(f"{times['billable_s']} s billable")
    return ", ".join(words)


def _listed(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in metrics.items())
