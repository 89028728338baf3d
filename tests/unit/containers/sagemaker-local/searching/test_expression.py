"""Which resources fit a search expression."""

from __future__ import annotations

import pytest

from sagemaker_local.errors import ValidationException
from sagemaker_local.searching.expression import fits

JOB = {
    "TrainingJobName": "digits-1",
    "TrainingJobStatus": "Completed",
    "HyperParameters": {"depth": "3", "learn.rate": "0.1"},
    "CreationTime": 1_700_000_000.0,
    "EnableNetworkIsolation": False,
    "FinalMetricDataList": [{"MetricName": "accuracy", "Value": 0.9}],
    "InputDataConfig": [
        {"ChannelName": "train", "CompressionType": "None"},
        {"ChannelName": "test", "CompressionType": "Gzip"},
    ],
    "Tags": [{"Key": "team", "Value": "a"}],
}


@pytest.mark.parametrize(
    ("name", "operator", "value", "wanted"),
    [
        ("TrainingJobName", "Contains", "gits", True),
        ("TrainingJobName", "Equals", "digits", False),
        ("TrainingJobStatus", "NotEquals", "Failed", True),
        ("TrainingJobStatus", "In", "Failed, Completed", True),
        ("TrainingJobStatus", "In", "Failed,Stopped", False),
        ("HyperParameters.depth", "Equals", "3", True),
        ("HyperParameters.depth", "GreaterThan", "2", True),
        ("HyperParameters.learn.rate", "LessThan", "0.05", False),
        ("Metrics.accuracy", "GreaterThanOrEqualTo", "0.9", True),
        ("Metrics.accuracy", "GreaterThan", "0.9", False),
        ("Metrics.loss", "LessThanOrEqualTo", "1", False),
        ("Tags.team", "Equals", "a", True),
        ("Tags.other", "NotEquals", "a", True),
        ("CreationTime", "LessThan", "2023-11-15T00:00:00Z", True),
        ("CreationTime", "GreaterThan", "2023-11-15", False),
        ("EnableNetworkIsolation", "Equals", "false", True),
        ("InputDataConfig.ChannelName", "Equals", "test", True),
        ("FailureReason", "Exists", None, False),
        ("FailureReason", "NotExists", None, True),
        ("TrainingJobName", "GreaterThan", "a", False),
    ],
)
def test_filters(name, operator, value, wanted):
    given = {"Name": name, "Operator": operator} | ({} if value is None else {"Value": value})
    assert fits({"Filters": [given]}, JOB) is wanted


def test_nested_filters_hold_for_one_item():
    def asked(channel: str, compression: str) -> dict[str, object]:
        filters = [
            {"Name": "InputDataConfig.ChannelName", "Operator": "Equals", "Value": channel},
            {"Name": "InputDataConfig.CompressionType", "Operator": "Equals", "Value": compression},
        ]
        return {"NestedFilters": [{"NestedPropertyName": "InputDataConfig", "Filters": filters}]}

    assert fits(asked("test", "Gzip"), JOB)
    assert not fits(asked("train", "Gzip"), JOB)


def test_expressions_are_joined():
    yes = {"Name": "TrainingJobName", "Value": "digits-1"}
    no = {"Name": "TrainingJobName", "Value": "other"}
    assert not fits({"Filters": [yes, no]}, JOB)
    assert fits({"Filters": [yes, no], "Operator": "Or"}, JOB)
    assert fits({"Filters": [yes], "SubExpressions": [{"Filters": [yes, no], "Operator": "Or"}]}, JOB)
    assert fits({}, JOB)


@pytest.mark.parametrize(
    "given", [{"Name": "x", "Operator": "Exists", "Value": "y"}, {"Name": "x", "Operator": "Equals"}]
)
def test_a_value_belongs_to_its_operator(given):
    with pytest.raises(ValidationException, match="'x'"):
        fits({"Filters": [given]}, JOB)
