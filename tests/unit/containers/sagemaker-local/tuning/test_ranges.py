"""Values drawn from ranges of hyperparameters."""

from __future__ import annotations

import pytest

from sagemaker_local.errors import ValidationException
from sagemaker_local.tuning.ranges import grid, grid_size, random_values, read_ranges


def number_range(kind: str, low: str, high: str, scaling: str = "Linear") -> dict[str, object]:
    bounds = {"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scaling}
    return {f"{kind}ParameterRanges": [bounds]}


def draws(given: dict[str, object], count: int = 400) -> list[float]:
    ranges = read_ranges(given)
    return [float(random_values(ranges, 1, number)["x"]) for number in range(count)]


@pytest.mark.parametrize(
    ("scaling", "low", "high", "below_middle"),
    [
        ("Linear", "1", "10000", (0.4, 0.6)),
        ("Auto", "1", "10000", (0.4, 0.6)),
        ("Logarithmic", "1", "10000", (0.85, 1.0)),
        ("ReverseLogarithmic", "0", "0.9999", (0.0, 0.15)),
    ],
)
def test_a_scale_says_where_values_are_dense(scaling, low, high, below_middle):
    values = draws(number_range("Continuous", low, high, scaling))
    assert all(float(low) <= value <= float(high) for value in values)
    share = sum(value < (float(low) + float(high)) / 2 for value in values) / len(values)
    assert below_middle[0] <= share <= below_middle[1]


def test_integers_are_whole_and_reach_both_bounds():
    ranges = read_ranges(number_range("Integer", "1", "3"))
    assert {random_values(ranges, 1, number)["x"] for number in range(100)} == {"1", "2", "3"}


def test_the_same_seed_and_number_give_the_same_values():
    ranges = read_ranges(number_range("Continuous", "0", "1"))
    assert random_values(ranges, 5, 2) == random_values(ranges, 5, 2)
    assert random_values(ranges, 5, 2) != random_values(ranges, 5, 3)
    assert random_values(ranges, 6, 2) != random_values(ranges, 5, 2)


def test_a_grid_has_every_combination_once():
    categories = [{"Name": "a", "Values": ["1", "2"]}, {"Name": "b", "Values": ["x", "y", "z"]}]
    ranges = read_ranges({"CategoricalParameterRanges": categories})
    points = list(grid(ranges))
    assert grid_size(ranges) == len(points) == 6
    assert points[:2] == [{"a": "1", "b": "x"}, {"a": "1", "b": "y"}]
    assert len({tuple(point.values()) for point in points}) == 6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (number_range("Continuous", "2", "1"), "greater than its MaxValue"),
        (number_range("Continuous", "a", "1"), "must be a number"),
        (number_range("Continuous", "nan", "1"), "must be finite"),
        (number_range("Integer", "1.5", "2"), "must be an integer"),
        (number_range("Continuous", "0", "1", "Logarithmic"), "greater than 0"),
        (number_range("Continuous", "0", "1", "ReverseLogarithmic"), "less than 1"),
        (number_range("Integer", "0", "0", "ReverseLogarithmic"), "continuous range"),
        (
            number_range("Integer", "0", "1")
            | {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1"]}]},
            "given twice: x",
        ),
    ],
)
def test_ranges_that_cannot_be_are_refused(given, message):
    with pytest.raises(ValidationException, match=message):
        read_ranges(given)


def test_a_grid_takes_no_numbers():
    with pytest.raises(ValidationException, match="x is not one"):
        grid_size(read_ranges(number_range("Integer", "0", "1")))
