"""Ranges of hyperparameters: what they may be, and values drawn from them.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-define-ranges.html
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sagemaker_local.errors import ValidationException

Values = dict[str, str]
"""Hyperparameter → its value, as a training job gets it."""

REVERSE_LOGARITHMIC_LIMIT = 1.0


@dataclass(frozen=True, slots=True)
class Scaling:
    """A scale on which values are drawn uniformly, and the way back from it."""

    forth: Callable[[float], float]
    back: Callable[[float], float]


LINEAR = Scaling(lambda value: value, lambda value: value)

SCALINGS: Mapping[str, Scaling] = {
    # AWS chooses for itself under Auto; without a model of the objective there is nothing to choose by.
    "Auto": LINEAR,
    "Linear": LINEAR,
    "Logarithmic": Scaling(math.log, math.exp),
    "ReverseLogarithmic": Scaling(
        lambda value: -math.log(1 - value), lambda value: 1 - math.exp(-value)
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Numbers between two, both included."""

    name: str
    low: float
    high: float
    scaling: Scaling
    is_integer: bool

    def draw(self, source: random.Random) -> str:
        """One value."""
        at = source.uniform(self.scaling.forth(self.low), self.scaling.forth(self.high))
        value = min(max(self.scaling.back(at), self.low), self.high)
        return str(round(value)) if self.is_integer else repr(float(value))


@dataclass(frozen=True, slots=True)
class Categories:
    """One of several words."""

    name: str
    values: tuple[str, ...]

    def draw(self, source: random.Random) -> str:
        """One value."""
        return source.choice(self.values)


Range = NumberRange | Categories


def read_ranges(given: Mapping[str, Any]) -> list[Range]:
    """The ranges of a request's ``ParameterRanges`` or ``HyperParameterRanges``.

    Raises:
        ValidationException: a bound is no number, the bounds are in the wrong order or outside what the
            scale can hold, or a name comes twice.
    """
    ranges: list[Range] = [
        _number_range(each, is_integer=True) for each in given.get("IntegerParameterRanges", [])
    ]
    ranges += [_number_range(each, is_integer=False) for each in given.get("ContinuousParameterRanges", [])]
    ranges += [
        Categories(each["Name"], tuple(each["Values"]))
        for each in given.get("CategoricalParameterRanges", [])
    ]
    names = [each.name for each in ranges]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValidationException(
            f"Hyperparameters must have one range each; given twice: {', '.join(twice)}"
        )
    return ranges


def _number_range(given: Mapping[str, str], *, is_integer: bool) -> NumberRange:
    name, scale = given["Name"], given.get("ScalingType", "Auto")
    low, high = (_number(name, given[bound], is_integer) for bound in ("MinValue", "MaxValue"))
    if low > high:
        raise ValidationException(
            f"The MinValue {low:g} of hyperparameter '{name}' is greater than its MaxValue {high:g}"
        )
    if scale == "Logarithmic" and low <= 0:
        raise ValidationException(
            f"Logarithmic scaling of hyperparameter '{name}' needs values greater than 0, not {low:g}"
        )
    if scale == "ReverseLogarithmic" and (is_integer or low < 0 or high >= REVERSE_LOGARITHMIC_LIMIT):
        raise ValidationException(
            f"ReverseLogarithmic scaling of hyperparameter '{name}' needs a continuous range from 0 to less "
            f"than 1, not {low:g} to {high:g}"
        )
    return NumberRange(name, low, high, SCALINGS[scale], is_integer)


def _number(name: str, text: str, is_integer: bool) -> float:
    try:
        value = int(text) if is_integer else float(text)
    except ValueError as error:
        wanted = "an integer" if is_integer else "a number"
        raise ValidationException(
            f"Bound '{text}' of hyperparameter '{name}' must be {wanted}"
        ) from error  # fmt: skip
    if not math.isfinite(value):
        raise ValidationException(f"Bound '{text}' of hyperparameter '{name}' must be finite")
    return value


def grid(ranges: Sequence[Range]) -> Iterator[Values]:
    """Every combination of categories, the last hyperparameter changing fastest.

    Raises:
        ValidationException: a range is not categorical; Grid takes no others.
    """
    axes = _axes(ranges)
    for values in itertools.product(*(axis.values for axis in axes)):
        yield dict(zip((axis.name for axis in axes), values, strict=True))


def grid_size(ranges: Sequence[Range]) -> int:
    """How many combinations :func:`grid` has.

    Raises:
        ValidationException: a range is not categorical.
    """
    return math.prod(len(each.values) for each in _axes(ranges))


def _axes(ranges: Sequence[Range]) -> list[Categories]:
    if others := [each.name for each in ranges if not isinstance(each, Categories)]:
        raise ValidationException(
            f"The Grid strategy takes only categorical parameter ranges; {', '.join(others)} is not one"
        )
    return [each for each in ranges if isinstance(each, Categories)]


def random_values(ranges: Sequence[Range], seed: int, number: int) -> Values:
    """The values of one draw: the same seed and number always give the same ones.

    Args:
        ranges: What to draw from.
        seed: The tuning job's.
        number: Which draw of the tuning job; a restarted server goes on where it was.
    """
    source = random.Random(f"{seed}/{number}")
    return {each.name: each.draw(source) for each in ranges}
