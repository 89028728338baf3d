"""Bars: what a metric must reach before a model goes on. Used by pipelines and by MetricBarOperator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

from pydantic import ConfigDict, model_validator

from airflow_sagemaker.specs.base import Spec


class MetricBar(Spec):
    """Bounds of one metric; all that are given must hold."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    at_least: float | None = None
    """The metric must be this or more."""
    at_most: float | None = None
    """The metric must be this or less."""
    better_than: str | None = None
    """The metric must be more than this other metric of the same report."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("a bar needs a bound; give at_least, at_most or better_than")
        return self


def missed_bars(metrics: Mapping[str, object], bars: Mapping[str, MetricBar]) -> list[str]:
    """What fell short, a sentence each naming the metric, its value and the bar; empty when all pass.

    A metric that is absent, or not a finite number, misses its bar: NaN compares false with everything and
    must never pass by that.
    """
    missed: list[str] = []
    for name, bar in bars.items():
        value = _number(metrics, name)
        if value is None:
            missed.append(f"{name} is {metrics.get(name, 'missing')}, the bar needs a finite number")
            continue
        if bar.at_least is not None and value < bar.at_least:
            missed.append(f"{name} is {value:g}, the bar is at least {bar.at_least:g}")
        if bar.at_most is not None and value > bar.at_most:
            missed.append(f"{name} is {value:g}, the bar is at most {bar.at_most:g}")
        if bar.better_than is not None:
            other = _number(metrics, bar.better_than)
            if other is None or value <= other:
                shown = metrics.get(bar.better_than, "missing") if other is None else f"{other:g}"
                missed.append(f"{name} is {value:g}, the bar is more than {bar.better_than} ({shown})")
    return missed


def _number(metrics: Mapping[str, object], name: str) -> float | None:
    value = metrics.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
