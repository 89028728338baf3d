"""The invocation metrics of endpoints, in AWS's names and units.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sagemaker_local.cloudwatch.metric_store import MetricStore, Series, series_of

NAMESPACE = "AWS/SageMaker"
MICROSECONDS = 1_000_000
INSTANCES_KNOWN_S = 1.0
"""An endpoint's number of instances is asked for again after so long."""


@dataclass(frozen=True, slots=True)
class VariantSeries:
    """The series of one variant."""

    invocations: Series
    per_instance: Series
    client_errors: Series
    server_errors: Series
    model_errors: Series
    model_latency: Series
    overhead_latency: Series


class InvocationMetrics:
    """Counts invocations; one call for each, some microseconds.

    Args:
        store: Takes the metrics.
    """

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        self._series: dict[tuple[str, ...], VariantSeries] = {}
        self._instances: dict[tuple[str, str], tuple[float, int]] = {}
        self.count_instances: Callable[[str, str], int] = lambda endpoint, variant: 1
        """How many instances of a variant take requests; set by who knows the fleets."""

    def record(
        self,
        endpoint: str,
        variant: str,
        *,
        status: int,
        model_latency_s: float | None,
        overhead_s: float,
        dimensions: tuple[tuple[str, str], ...] = (),
        model_setup_s: float | None = None,
    ) -> None:
        """Count one invocation.

        Args:
            endpoint: Its name.
            variant: The one that took the request.
            status: HTTP status of the model's answer; 0 or 500 and more when it gave none.
            model_latency_s: How long the container took; None when the request did not reach one.
            overhead_s: What the invocation took beside that.
            dimensions: Further ones, such as InferenceComponentName.
            model_setup_s: How long a serverless endpoint took to start a container for it.
        """
        series = self._of(endpoint, variant, dimensions)
        wrong = status >= 300 or status == 0
        values = [
            (series.invocations, 1.0),
            (series.per_instance, 1.0 / self._instance_count(endpoint, variant)),
            (series.client_errors, 1.0 if 400 <= status < 500 else 0.0),
            (series.server_errors, 1.0 if status >= 500 or status == 0 else 0.0),
            (series.model_errors, 1.0 if wrong else 0.0),
            (series.overhead_latency, max(0.0, overhead_s) * MICROSECONDS),
        ]
        if model_latency_s is not None:
            values.append((series.model_latency, model_latency_s * MICROSECONDS))
        if model_setup_s is not None:
            place = {"EndpointName": endpoint, "VariantName": variant}
            setup = series_of(NAMESPACE, "ModelSetupTime", place, "Microseconds")
            values.append((setup, model_setup_s * MICROSECONDS))
        self._store.add(values)

    def _instance_count(self, endpoint: str, variant: str) -> int:
        at = time.monotonic()
        known = self._instances.get((endpoint, variant))
        if known is None or at - known[0] > INSTANCES_KNOWN_S:
            known = (at, max(1, self.count_instances(endpoint, variant)))
            self._instances[endpoint, variant] = known
        return known[1]

    def _of(self, endpoint: str, variant: str, dimensions: tuple[tuple[str, str], ...]) -> VariantSeries:
        key = (endpoint, variant, *(part for dimension in dimensions for part in dimension))
        found = self._series.get(key)
        if found is None:
            place = {"EndpointName": endpoint, "VariantName": variant, **dict(dimensions)}
            found = self._series[key] = VariantSeries(
                invocations=series_of(NAMESPACE, "Invocations", place, "None"),
                per_instance=series_of(NAMESPACE, "InvocationsPerInstance", place, "None"),
                client_errors=series_of(NAMESPACE, "Invocation4XXErrors", place, "None"),
                server_errors=series_of(NAMESPACE, "Invocation5XXErrors", place, "None"),
                model_errors=series_of(NAMESPACE, "InvocationModelErrors", place, "None"),
                model_latency=series_of(NAMESPACE, "ModelLatency", place, "Microseconds"),
                overhead_latency=series_of(NAMESPACE, "OverheadLatency", place, "Microseconds"),
            )
        return found
