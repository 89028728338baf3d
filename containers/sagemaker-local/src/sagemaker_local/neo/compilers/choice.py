"""Several compiled forms of one model: the one that measures best goes into the artefact, and it says why."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import proof, timing
from .check import Tolerance
from .proof import Model, Subject
from .request import CompilationError


@dataclass(frozen=True, slots=True)
class Candidate:
    """One compiled form.

    Attributes:
        runtime: What serves it, as the manifest names it.
        manifest: What the manifest says of this form only.
        files: Of the artefact, by name.
        answer: Answers as the artefact will.
        tolerance: How far its answers may be from the original's.
    """

    runtime: str
    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]
    answer: Model
    tolerance: Tolerance = field(default_factory=Tolerance)


@dataclass(frozen=True, slots=True)
class Choice:
    """The best form, what to prove of it, and the sentence that says why it was chosen."""

    candidate: Candidate
    subject: Subject
    why: str


def choose(candidates: Sequence[Candidate], subject: Subject, left_out: Sequence[str] = ()) -> Choice:
    """The form that takes the least time, by the geometric mean over the numbers of rows.

    Args:
        candidates: At least one.
        subject: What to prove; its ``compiled`` and ``tolerance`` are those of the form that is chosen.
        left_out: Why other forms are not among the candidates.

    Raises:
        CompilationError: no form answers like the original.
    """
    equal, reasons = [], list(left_out)
    for candidate in candidates:
        own = dataclasses.replace(subject, compiled=candidate.answer, tolerance=candidate.tolerance)
        try:
            proof.equality(own, None)
        except CompilationError as error:
            if len(candidates) == 1:
                raise
            reasons.append(f"{candidate.runtime}: {error}")
            continue
        equal.append((candidate, own))
    if not equal:
        raise CompilationError("; ".join(reasons))
    took = _times({candidate.runtime: candidate.answer for candidate, _ in equal}, subject)
    candidate, own = min(equal, key=lambda each: _mean(took[each[0].runtime]))
    return Choice(candidate, own, _why(candidate.runtime, took, reasons))


def _times(models: Mapping[str, Model], subject: Subject) -> dict[str, dict[int, float]]:
    took: dict[str, dict[int, float]] = {name: {} for name in models}
    if len(models) == 1:
        return took
    us_a_row = 0.0
    for count in subject.row_counts:
        if us_a_row * count > timing.LONGEST_CALL_S * 1e6:
            break
        try:
            given = subject.rows(count)
        except ValueError:
            continue
        measured = timing.medians_us(models, given)
        us_a_row = max(measured.values()) / count
        for name, us in measured.items():
            took[name][count] = us
    return took


def _mean(took: Mapping[int, float]) -> float:
    return math.exp(sum(map(math.log, took.values())) / len(took)) if took else 0.0


def _why(chosen: str, took: Mapping[str, Mapping[int, float]], reasons: Sequence[str]) -> str:
    parts = []
    if len(took) > 1:
        counts = " / ".join(map(str, took[chosen]))
        figures = "; ".join(
            f"{name} {' / '.join(f'{us:.3g}' for us in times.values())}" for name, times in took.items()
        )
        parts.append(f"{chosen} took least, in µs for {counts} rows: {figures}")
    parts += [f"not {reason}" for reason in reasons]
    return ". ".join(parts) if parts else f"{chosen} is the only form that there is for this model"
