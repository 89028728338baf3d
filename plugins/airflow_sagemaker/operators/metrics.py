"""The bar: a model goes on only when its metrics are good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.errors import BarsNotMetError
from airflow_sagemaker.operators.base import SageMakerOperator
from airflow_sagemaker.specs.metrics import MetricBar, missed_bars

if TYPE_CHECKING:
    from airflow.sdk import Context


class MetricBarOperator(SageMakerOperator):
    """Compare the metrics of a report with bars; fail naming each metric that misses, its value and the bar.

    :param source: location of a JSON report with an object `metrics`
    :param bars: bar by metric
    """

    template_fields: Sequence[str] = ("source",)
    ui_color = "#fbf3dc"

    def __init__(self, *, source: str, bars: Mapping[str, MetricBar], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.bars = bars

    def execute(self, context: Context) -> dict[str, Any]:
        """Give the metrics, so that the run shows them."""
        report = self.storage.read_json(self.source)
        metrics = report.get("metrics") if isinstance(report, dict) else None
        if not isinstance(metrics, dict):
            raise BarsNotMetError(
                f"Report {self.storage.uri(self.source)}",
                "it has no object 'metrics'",
                "Let the program that writes it put its metrics there",
            )
        if missed := missed_bars(metrics, self.bars):
            raise BarsNotMetError(
                f"Report {self.storage.uri(self.source)}",
                "; ".join(missed),
                "Improve the model, or lower the bar in the pipeline's spec if it asks too much",
            )
        return {name: value for name, value in metrics.items() if isinstance(value, int | float | str)}
