"""What a raw row of the bank's campaign is, and how it becomes numbers.

The coding is fixed here, not fitted: a batch of one row is coded exactly as the training data was. Numbers
stay as they are; a category becomes one column per known value, 1 for the row's own. A value that is not in
the list fails the job with its place, because coding it as something else would score the row on a guess;
``unknown`` is a value of this data set.
Source: S. Moro, P. Cortez, P. Rita, Decision Support Systems 62 (2014), and the data set's description at
UCI.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from job import JobError
from partitions import Row

LABEL = "y"
LABELS = {"no": "0", "yes": "1"}

NUMBERS = (
    "age",
    "duration",
    "campaign",
    "pdays",
    "previous",
    "emp.var.rate",
    "cons.price.idx",
    "cons.conf.idx",
    "euribor3m",
    "nr.employed",
)
YES_NO = ("no", "unknown", "yes")
CATEGORIES: dict[str, tuple[str, ...]] = {
    "job": (
        "admin.",
        "blue-collar",
        "entrepreneur",
        "housemaid",
        "management",
        "retired",
        "self-employed",
        "services",
        "student",
        "technician",
        "unemployed",
        "unknown",
    ),
    "marital": ("divorced", "married", "single", "unknown"),
    "education": (
        "basic.4y",
        "basic.6y",
        "basic.9y",
        "high.school",
        "illiterate",
        "professional.course",
        "university.degree",
        "unknown",
    ),
    "default": YES_NO,
    "housing": YES_NO,
    "loan": YES_NO,
    "contact": ("cellular", "telephone"),
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "day_of_week": ("mon", "tue", "wed", "thu", "fri"),
}
COLUMNS = (*NUMBERS, *CATEGORIES, LABEL)

# Plain decimal notation: no nan, no infinity, no digit separators.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Coding:
    """Which raw columns become features."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def features(self) -> list[str]:
        """Names of the features in their order."""
        coded = [f"{name}={value}" for name in self.categories for value in CATEGORIES[name]]
        return [*self.numbers, *coded]

    def code(self, row: Row) -> list[str]:
        """The features of a row."""
        fields = [_number(row, name) for name in self.numbers]
        for name in self.categories:
            value = row.values[name]
            if value not in CATEGORIES[name]:
                raise JobError(f"{row.place}: {name}={value!r} is not one of {', '.join(CATEGORIES[name])}")
            fields.extend("1" if value == known else "0" for known in CATEGORIES[name])
        return fields


def coding(dropped: Sequence[str]) -> Coding:
    """The coding without some raw columns.

    ``duration`` is known only after the call, when the answer is known too: drop it for a model that is to be
    used.
    """
    known = (*NUMBERS, *CATEGORIES)
    unknown = [name for name in dropped if name not in known]
    if unknown:
        raise JobError(f"--drop-columns: {', '.join(unknown)} not known; known are {', '.join(known)}")
    if set(known) <= set(dropped):
        raise JobError("--drop-columns leaves no feature; keep at least one column")
    return Coding(
        tuple(name for name in NUMBERS if name not in dropped),
        tuple(name for name in CATEGORIES if name not in dropped),
    )


def label(row: Row) -> str:
    """1 for yes, 0 for no."""
    value = row.values[LABEL]
    if value not in LABELS:
        raise JobError(f"{row.place}: {LABEL}={value!r} must be yes or no")
    return LABELS[value]


def _number(row: Row, name: str) -> str:
    text = row.values[name].strip()
    if NUMBER.fullmatch(text) is None or not math.isfinite(float(text)):
        raise JobError(f"{row.place}: {name}={text!r} must be a finite number")
    return text
