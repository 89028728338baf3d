"""Expressions of a pipeline's definition, paths and conditions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from sagemaker_local.pipelines.conditions import all_hold, holds
from sagemaker_local.pipelines.expressions import ExpressionError, evaluate, references
from sagemaker_local.pipelines.paths import PathError, look_up, read_path

REPORT = {"metrics": {"mse.value": [1, {"value": 0.5}]}}


class Told:
    """A scope that knows what it is told."""

    parameters: Mapping[str, Any] = {"Depth": 3, "On": True, "Name": "x", "Rate": 0.5}
    variables: Mapping[str, str] = {"PipelineExecutionId": "abc"}

    def output(self, step: str) -> Mapping[str, Any]:
        if step != "Train":
            raise ExpressionError(f"no {step}")
        return {
            "Outputs": [{"OutputName": "train", "S3Output": {"S3Uri": "s3://b/t"}}],
            "Metrics": [{"MetricName": "a:b", "Value": 2}],
            "HyperParameters": {"a b": "c"},
        }

    def property_file(self, step: str, name: str) -> bytes:
        assert (step, name) == ("Train", "report")
        return json.dumps(REPORT).encode()

    def object(self, uri: str) -> bytes:
        assert uri == "s3://b/abc.json"
        return json.dumps(REPORT).encode()


def get(path: str) -> dict[str, str]:
    return {"Get": path}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (get("Parameters.Depth"), 3),
        (
            {"a": [get("Parameters.Name"), {"b": get("Execution.PipelineExecutionId")}]},
            {"a": ["x", {"b": "abc"}]},
        ),
        (get("Steps.Train.Outputs['train'].S3Output.S3Uri"), "s3://b/t"),
        (get('Steps.Train.Outputs["train"].S3Output.S3Uri'), "s3://b/t"),
        (get("Steps.Train.Outputs[0].OutputName"), "train"),
        (get("Steps.Train.Metrics['a:b'].Value"), 2),
        (get("Steps.Train.HyperParameters['a b']"), "c"),
        ({"Std:Join": {"On": "/", "Values": ["a", 1, 0.5, get("Parameters.On")]}}, "a/1/0.5/true"),
        (
            {
                "Std:JsonGet": {
                    "PropertyFile": get("Steps.Train.PropertyFiles.report"),
                    "Path": "$.metrics['mse.value'][1].value",
                }
            },
            0.5,
        ),
        (
            {
                "Std:JsonGet": {
                    "S3Uri": {
                        "Std:Join": {
                            "On": "",
                            "Values": ["s3://b/", get("Execution.PipelineExecutionId"), ".json"],
                        }
                    },
                    "Path": "metrics['mse.value'][0]",
                }
            },
            1,
        ),
        ({"Get": "x", "more": 1}, {"Get": "x", "more": 1}),
        (None, None),
    ],
)
def test_values(value, wanted):
    assert evaluate(value, Told()) == wanted


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (get("Parameters.Nothing"), "Parameters.Nothing"),
        (get("Steps.Train.Outputs['test']"), "'test' is not there"),
        (get("Steps.Train.Outputs[7]"), "'7' is not there"),
        (get("Nothing.X"), "must begin with"),
        ({"Get": 3}, "is not a path"),
        ({"Std:JsonGet": {"PropertyFile": get("Steps.Train.PropertyFiles.report"), "Path": "a.b"}}, "'a.b'"),
    ],
)
def test_what_has_no_value_is_named(value, message):
    with pytest.raises(ExpressionError, match=message):
        evaluate(value, Told())


def test_references_are_found_wherever_they_are():
    given = {"a": [{"Std:Join": {"On": "", "Values": [get("Steps.A.b"), "x"]}}], "c": get("Parameters.P")}
    assert list(references(given)) == [("Steps", "A", "b"), ("Parameters", "P")]


@pytest.mark.parametrize("text", ["a..b", "a[", "a['b", "a[x]", "[ 1 ]"])
def test_what_is_no_path_is_refused(text):
    with pytest.raises(PathError):
        read_path(text)


def test_a_path_does_not_lead_into_text():
    with pytest.raises(PathError):
        look_up({"a": "text"}, ("a", 0))


def compare(kind: str, left: Any, right: Any) -> dict[str, Any]:
    return {"Type": kind, "LeftValue": left, "RightValue": right}


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        (compare("Equals", get("Parameters.Depth"), 3), True),
        (compare("Equals", get("Parameters.Name"), "y"), False),
        (compare("GreaterThan", 3, 3), False),
        (compare("GreaterThanOrEqualTo", get("Parameters.Rate"), 0.5), True),
        (compare("LessThan", "0.4", get("Parameters.Rate")), True),
        (compare("LessThanOrEqualTo", 0.6, get("Parameters.Rate")), False),
        ({"Type": "In", "QueryValue": get("Parameters.Name"), "Values": ["y", get("Parameters.Name")]}, True),
        ({"Type": "In", "QueryValue": "z", "Values": ["y"]}, False),
        ({"Type": "Not", "Condition": compare("Equals", 1, 1)}, False),
        ({"Type": "Not", "Expression": compare("Equals", 1, 2)}, True),
        ({"Type": "Or", "Conditions": [compare("Equals", 1, 2), compare("Equals", 2, 2)]}, True),
        ({"Type": "Or", "Conditions": [compare("Equals", 1, 2)]}, False),
    ],
)
def test_conditions(condition, wanted):
    assert holds(condition, Told()) is wanted


def test_all_conditions_of_a_step_must_hold():
    assert all_hold([compare("Equals", 1, 1), compare("LessThan", 1, 2)], Told())
    assert not all_hold([compare("Equals", 1, 1), compare("LessThan", 2, 1)], Told())


def test_what_cannot_be_compared_is_named():
    with pytest.raises(ExpressionError, match="cannot be compared by LessThan"):
        holds(compare("LessThan", "a", 1), Told())
