"""A training job's metrics, read from its output by the regular expressions of the request."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence

from sagemaker_local.names import now

logger = logging.getLogger(__name__)


class MetricReader:
    """Keeps the last value of every metric.

    Args:
        definitions: ``MetricDefinitions`` of the request; one that does not compile is left out, with a
        warning.
    """

    def __init__(self, definitions: Sequence[Mapping[str, str]]) -> None:
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        self._last: dict[str, tuple[float, float]] = {}
        for definition in definitions:
            try:
                pattern = re.compile(definition["Regex"])
            except re.error as error:
                logger.warning("metric %s is not read: %s", definition["Name"], error)
                continue
            self._patterns.append((definition["Name"], pattern))

    def read(self, line: str) -> None:
        """Look for metrics in a line of output."""
        for name, pattern in self._patterns:
            match = pattern.search(line)
            if match is None or not pattern.groups:
                continue
            try:
                self._last[name] = (float(match.group(1)), now())
            except (TypeError, ValueError):
                continue  # the group took no part or is no number: AWS counts neither

    def final(self) -> list[dict[str, object]]:
        """``FinalMetricDataList`` of the Describe answer."""
        return [
            {"MetricName": name, "Value": value, "Timestamp": at} for name, (value, at) in self._last.items()
        ]
