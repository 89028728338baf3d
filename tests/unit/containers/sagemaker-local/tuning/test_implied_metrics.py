"""Metrics that AWS's own algorithms print without being asked."""

from __future__ import annotations

import re

import pytest

from sagemaker_local.tuning.implied_metrics import definition_of

XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
LINE = "[12]#011train-rmse:0.12500#011validation-rmse:1.5e-01"


@pytest.mark.parametrize(("metric", "value"), [("train:rmse", 0.125), ("validation:rmse", 0.15)])
def test_xgboost_prints_its_metrics(metric, value):
    definition = definition_of({"TrainingImage": XGBOOST}, metric)
    assert definition is not None
    found = re.search(definition["Regex"], LINE)
    assert found is not None
    assert float(found.group(1)) == value


def test_the_request_comes_first():
    given = {"Name": "validation:rmse", "Regex": "mine ([0-9]+)"}
    assert definition_of({"TrainingImage": XGBOOST, "MetricDefinitions": [given]}, "validation:rmse") == given


def test_other_images_and_names_have_none():
    assert definition_of({"TrainingImage": XGBOOST}, "accuracy") is None
    assert definition_of({"TrainingImage": "1.dkr.ecr.us-east-1.amazonaws.com/own:1"}, "train:rmse") is None
    assert definition_of({}, "train:rmse") is None
