"""The proof that every compiler's result goes through: it answers like the original, and sooner.

Equal: on random inputs of several kinds, and on the model's own calibration sample where its artefact holds
one (see :mod:`calibration`), within a tolerance that the manifest declares.

Faster: at the number of rows that DataInputConfig declares, one call of the compiled model takes less time
than one of the original, by interleaved medians. Noise must not decide: a model that looks slower is measured
again, twice, and its best showing counts. The other numbers of rows are timed and told, not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import check, timing
from .check import Tolerance
from .request import CompilationError

Model = Callable[[Any], check.Answers]
TRIES = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """What a compiler hands in to be proved.

    Attributes:
        original: Answers as the framework does, in the order of the manifest's outputs.
        compiled: Answers as the artefact will.
        sample: Random inputs that both are compared on.
        rows: Inputs of as many rows as asked for, for the timing; raises ValueError where it cannot.
        of_calibration: The inputs that a calibration file holds, from its arrays by name ("" if they have
            none).
        originals: The original by its thread settings, where there are several; the best of them is what
            counts. By default ``original`` alone.
        tolerance: How far apart answers may be.
        row_counts: What is timed.
        faster_by: The least speed-up; below 1 where the original runs on the same runtime.
    """

    original: Model
    compiled: Model
    sample: Any
    rows: Callable[[int], Any]
    of_calibration: Callable[[Mapping[str, Any]], Any] | None = None
    originals: Mapping[str, Model] = field(default_factory=dict)
    tolerance: Tolerance = field(default_factory=Tolerance)
    row_counts: tuple[int, ...] = timing.ROW_COUNTS
    faster_by: float = 1.0


class NotFasterError(CompilationError):
    """The compiled model is equal, but of no use; ``timings`` show it."""

    def __init__(self, timings: dict[str, Any]) -> None:
        super().__init__(_words(timings))
        self.timings = timings


def equality(subject: Subject, calibration: tuple[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    """The manifest's ``check``.

    Raises:
        CompilationError: the answers differ.
    """
    tolerance = subject.tolerance
    found: dict[str, Any] = {
        "tolerance": tolerance.relative,
        "rows_may_differ": tolerance.rows,
        **check.compare(subject.original(subject.sample), subject.compiled(subject.sample), tolerance),
    }
    if calibration is not None:
        name, arrays = calibration
        if subject.of_calibration is None:
            raise CompilationError(f"{name} is not understood for this framework; leave it out")
        inputs = subject.of_calibration(arrays)
        wanted, got = subject.original(inputs), subject.compiled(inputs)
        found["calibration"] = {"file": name, **check.compare(wanted, got, tolerance, "calibration")}
    return found


def timings(subject: Subject) -> dict[str, Any]:
    """The manifest's ``timings``: both models at each number of rows."""
    originals = dict(subject.originals) or {"": subject.original}
    by_rows: dict[str, dict[str, Any]] = {}
    us_a_row = 0.0
    for count in subject.row_counts:
        if by_rows and us_a_row * count > timing.LONGEST_CALL_S * 1e6:
            break
        try:
            inputs = subject.rows(count)
        except ValueError:  # a model whose number of rows is fixed
            continue
        # The name of an original never collides: the compiled model's is no string that a compiler gives.
        took = timing.medians_us({**originals, "\0compiled": subject.compiled}, inputs)
        us_a_row = max(took.values()) / count
        compiled_us = took.pop("\0compiled")
        best = min(took, key=lambda name: took[name])
        by_rows[str(count)] = {"original_us": _rounded(took[best]), "compiled_us": _rounded(compiled_us)}
        if best:
            by_rows[str(count)]["original_setting"] = best
    return {
        "rows": by_rows,
        "speed_up": {
            count: round(each["original_us"] / each["compiled_us"], 2) for count, each in by_rows.items()
        },
    }


def judged_rows(subject: Subject, declared: int | None) -> str:
    """Which of the timed numbers of rows the model is judged at: the one nearest to the declared one."""
    wanted = max(1, declared or 1)
    return str(min(subject.row_counts, key=lambda count: max(count / wanted, wanted / count)))


def speed(subject: Subject, declared: int | None) -> dict[str, Any]:
    """The manifest's ``timings``, with the number of rows that they are judged at.

    Raises:
        NotFasterError: the compiled model is not faster there.
    """
    best: dict[str, Any] = {}
    for _ in range(TRIES):
        found = timings(subject)
        at = judged_rows(subject, declared)
        if at not in found["speed_up"]:  # the declared number is the only one that the model takes
            at = next(iter(found["speed_up"]))
        found = {"judged_at_rows": int(at), "least_speed_up": subject.faster_by, **found}
        if not best or found["speed_up"][at] > best["speed_up"][at]:
            best = found
        if best["speed_up"][at] > subject.faster_by:
            return best
    raise NotFasterError(best)


def _words(found: Mapping[str, Any]) -> str:
    count = str(found["judged_at_rows"])
    took = found["rows"][count]
    return (
        f"the compiled model is not faster than the original: {took['compiled_us']} µs against "
        f"{took['original_us']} µs for {count} row{'s' if count != '1' else ''}, the best of {TRIES} "
        "measurements: serve this model uncompiled, declare in DataInputConfig the number of rows that it "
        "is called with, or ask for the original where compiling gains nothing (if_not_faster)"
    )


def summary(checked: Mapping[str, Any], timed: Mapping[str, Any]) -> list[str]:
    """The proof as lines of the job's log; plugins read their figures from ``name=value``."""
    own = checked.get("calibration")
    lines = [
        f"proof: equal on {checked['rows']} random rows"
        + (f" and {own['rows']} of {own['file']}" if own else "")
        + f", max_abs_diff={max(checked['max_abs_diff'], own['max_abs_diff'] if own else 0.0):.3g} "
        f"(tolerance {checked['tolerance']:g}), rows_that_differ={checked['rows_that_differ']}"
    ]
    for count, took in timed["rows"].items():
        gain = timed["speed_up"][count]
        slower = "" if gain >= 1 else " (slower)"
        setting = f" ({took['original_setting']})" if "original_setting" in took else ""
        lines.append(
            f"proof: rows={count} original_us={took['original_us']}{setting} "
            f"compiled_us={took['compiled_us']} speed_up={gain}{slower}"
        )
    return lines


def _rounded(us: float) -> float:
    return round(us, 2) if us < 1000 else round(us, 1)
