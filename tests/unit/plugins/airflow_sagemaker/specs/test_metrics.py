from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from airflow_sagemaker.specs.metrics import MetricBar, missed_bars

# metric value, bar → passes?
TABLE = [
    (0.95, MetricBar(at_least=0.95), True),
    (0.9499, MetricBar(at_least=0.95), False),
    (1e-5, MetricBar(at_most=1e-5), True),
    (1.1e-5, MetricBar(at_most=1e-5), False),
    (0.91, MetricBar(better_than="baseline"), True),
    (0.9, MetricBar(better_than="baseline"), False),
    (0.99, MetricBar(at_least=0.95, better_than="baseline"), True),
    (0.94, MetricBar(at_least=0.95, better_than="baseline"), False),
    (0.99, MetricBar(better_than="absent"), False),
    (math.nan, MetricBar(at_least=0.5), False),
    (math.nan, MetricBar(at_most=0.5), False),
    (math.inf, MetricBar(at_least=0.5), False),
    (True, MetricBar(at_least=0.5), False),
    ("0.99", MetricBar(at_least=0.5), False),
    (None, MetricBar(at_least=0.5), False),
]


@pytest.mark.parametrize(("value", "bar", "passes"), TABLE)
def test_bar(value: object, bar: MetricBar, passes: bool) -> None:
    missed = missed_bars({"accuracy": value, "baseline": 0.9}, {"accuracy": bar})
    assert (missed == []) == passes


def test_every_missed_bar_is_named_with_value_and_bar() -> None:
    bars = {"accuracy": MetricBar(at_least=0.95, better_than="baseline"), "auc": MetricBar(at_least=0.7)}
    assert missed_bars({"accuracy": 0.8, "baseline": 0.9}, bars) == [
        "accuracy is 0.8, the bar is at least 0.95",
        "accuracy is 0.8, the bar is more than baseline (0.9)",
        "auc is missing, the bar needs a finite number",
    ]


def test_a_bar_without_a_bound_is_refused() -> None:
    with pytest.raises(ValidationError, match="give at_least, at_most or better_than"):
        MetricBar()
