"""Read hyperparameters, which SageMaker hands over as strings, against a table of what they may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import opt_ml


@dataclass(frozen=True, slots=True)
class Limit:
    """A hyperparameter: its default, its bounds (included), and its type by ``convert``."""

    default: float
    lowest: float
    highest: float
    convert: Callable[[str], float] = float

    @property
    def words(self) -> str:
        """What a value has to be, for errors."""
        kind = "a whole number" if self.convert is int else "a number"
        return f"{kind} from {self.lowest:.12g} to {self.highest:.12g}"


def read(given: Mapping[str, str], limits: Mapping[str, Limit]) -> dict[str, float]:
    """Every hyperparameter of the table, given or by default; all problems are reported at once."""
    problems = []
    values = {name: limit.default for name, limit in limits.items()}
    for name, text in given.items():
        if name not in limits:
            problems.append(f"{name!r} is not known (known: {', '.join(limits)})")
            continue
        limit = limits[name]
        try:
            value = limit.convert(text)
        except ValueError:
            value = float("nan")
        if limit.lowest <= value <= limit.highest:
            values[name] = value
        else:
            problems.append(f"{name}={text!r} must be {limit.words}")
    if problems:
        raise opt_ml.JobError("hyperparameters: " + "; ".join(problems))
    return values
