from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sagemaker.errors import BarsNotMetError
from airflow_sagemaker.operators.metrics import MetricBarOperator
from airflow_sagemaker.specs.metrics import MetricBar

CONTEXT: Any = {}
BARS = {"accuracy": MetricBar(at_least=0.95, better_than="baseline_accuracy")}


def bar(s3: Any, report: object) -> MetricBarOperator:
    s3.put_object(Bucket="data", Key="evaluation.json", Body=json.dumps(report).encode())
    return MetricBarOperator(task_id="bar", source="evaluation.json", bars=BARS)


def test_a_good_model_goes_on_and_shows_its_metrics(s3: Any) -> None:
    metrics = {"accuracy": 0.97, "baseline_accuracy": 0.9, "rows": 360}
    assert bar(s3, {"metrics": metrics}).execute(CONTEXT) == metrics


def test_the_error_names_metric_value_and_bar(s3: Any) -> None:
    with pytest.raises(BarsNotMetError) as raised:
        bar(s3, {"metrics": {"accuracy": 0.91, "baseline_accuracy": 0.9}}).execute(CONTEXT)
    assert str(raised.value) == (
        "Report s3://data/evaluation.json: accuracy is 0.91, the bar is at least 0.95. "
        "Improve the model, or lower the bar in the pipeline's spec if it asks too much"
    )


@pytest.mark.parametrize("report", [{}, [], {"metrics": [1]}, {"accuracy": 0.99}])
def test_a_report_without_metrics_never_passes(s3: Any, report: object) -> None:
    with pytest.raises(BarsNotMetError, match="it has no object 'metrics'"):
        bar(s3, report).execute(CONTEXT)
