"""A training job's metrics, read from its output by the regular expressions of the request.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/define-train-metrics.html
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence

import regex

from sagemaker_local.names import now

logger = logging.getLogger(__name__)

NAMESPACE = "/aws/sagemaker/TrainingJobs"
SEARCH_TIMEOUT_S = 0.2
"""An expression that needs longer for one line is given up: it would hold up the whole server."""

Publish = Callable[[str, float, float], None]
"""Takes a metric's name, value and time."""


class MetricReader:
    """Keeps the last value of every metric.

    Args:
        definitions: ``MetricDefinitions`` of the request; one that does not compile is left out, with a
            warning.
        publish: Takes every value that is read.
    """

    def __init__(self, definitions: Sequence[Mapping[str, str]], publish: Publish | None = None) -> None:
        self._patterns: list[tuple[str, regex.Pattern[str]]] = []
        self._last: dict[str, tuple[float, float]] = {}
        self._publish = publish
        for definition in definitions:
            try:
                pattern = regex.compile(definition["Regex"], regex.VERSION0)
            except regex.error as error:
                logger.warning("metric %s is not read: %s", definition["Name"], error)
                continue
            if pattern.groups:
                self._patterns.append((definition["Name"], pattern))

    def read(self, line: str) -> None:
        """Look for metrics in a line of output."""
        for name, pattern in tuple(self._patterns):
            try:
                match = pattern.search(line, timeout=SEARCH_TIMEOUT_S)
            except TimeoutError:
                logger.warning("metric %s is no longer read: its expression takes too long", name)
                self._patterns.remove((name, pattern))
                continue
            if match is None:
                continue
            try:
                value = float(match.group(1))
            except (TypeError, ValueError):
                continue  # the group took no part or is no number: AWS counts neither
            if not math.isfinite(value):
                continue  # CloudWatch has no such values
            at = now()
            self._last[name] = (value, at)
            if self._publish is not None:
                self._publish(name, value, at)

    def final(self) -> list[dict[str, object]]:
        """``FinalMetricDataList`` of the Describe answer."""
        return [
            {"MetricName": name, "Value": value, "Timestamp": at} for name, (value, at) in self._last.items()
        ]
