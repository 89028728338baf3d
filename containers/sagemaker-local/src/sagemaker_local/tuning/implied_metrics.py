"""Metrics of AWS's own algorithms, whose definitions a request leaves out because AWS knows them.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost-tuning.html; the expressions are those that
DescribeTrainingJob shows for such a job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sagemaker_local.images.catalogue import repository_name

NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"

ALGORITHMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    repository: (
        re.compile(r"(train|validation):([a-z0-9_@.\-]+)"),
        rf".*\[[0-9]+\].*#011{{0}}-{{1}}:{NUMBER}.*",
    )
    for repository in ("xgboost", "sagemaker-xgboost")
}
"""Repository of an image → which names its metrics have, and how they are printed."""


def definition_of(algorithm: Mapping[str, Any], metric: str) -> dict[str, str] | None:
    """The definition of a metric: the request's, else the algorithm's own; None when there is neither.

    Args:
        algorithm: ``AlgorithmSpecification`` of a training job definition.
        metric: The metric's name.
    """
    for given in algorithm.get("MetricDefinitions", []):
        if given["Name"] == metric:
            return dict(given)
    names, printed = ALGORITHMS.get(repository_name(algorithm.get("TrainingImage", "")), (None, ""))
    found = names.fullmatch(metric) if names else None
    if found is None:
        return None
    return {"Name": metric, "Regex": printed.format(*(re.escape(part) for part in found.groups()))}
