"""What a benchmark found: results of peers in one run, as a table of ratios, as JSON, and as a chart.

    report = Report("compilers", "Compiled trees", baseline="predict_proba", packages=["xgboost"])
    report.add("one row", "compiled", [6.1, 6.0, 6.3], unit="µs", better="lower")
    report.add("one row", "predict_proba", [301.0, 298.0, 310.0], unit="µs", better="lower")
    report.aim("compiled XGBoost, one row", "one row", "compiled", at_least=20)
    report.publish()

A ratio says how many times better than the baseline a peer is: above one is better, whichever way the unit
counts. Samples are of rounds: the first of each peer were measured one after the other, so ratios are taken
round by round, and their median is shown.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks import charts
from benchmarks.machine import ROOT, Machine, describe

FOLDER = ROOT / "build" / "bench"
Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Result:
    """What one peer reached in one measure, a sample a round."""

    measure: str
    peer: str
    unit: str
    better: Better
    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure that is shown."""
        return statistics.median(self.samples)

    def times_better(self, than: Result) -> float | None:
        """Median over the rounds of how many times better this is; None where that has no meaning."""
        if self.better == "neither":
            return None
        pairs: Iterable[tuple[float, float]] = zip(self.samples, than.samples, strict=False)
        if len(self.samples) != len(than.samples):
            pairs = [(self.median, than.median)]
        if self.better == "lower":
            pairs = [(theirs, ours) for ours, theirs in pairs]
        ratios = [top / bottom for top, bottom in pairs if bottom > 0]
        return statistics.median(ratios) if ratios else None


@dataclass(frozen=True)
class Aim:
    """A figure to reach: a peer's ratio to another, or with ``absolute`` its own median in a measure."""

    text: str
    measure: str
    peer: str
    against: str
    at_least: float | None
    absolute: bool = False
    at_most: float | None = None


class Report:
    """Results of one benchmark in one run.

    Attributes:
        name: Of the benchmark: its files are ``build/bench/<name>.json`` and ``.svg``.
        baseline: The peer that ratios are taken to.
        quick: Whether this was the short form, whose figures scatter more.
    """

    def __init__(
        self, name: str, title: str, baseline: str, packages: Iterable[str] = (), *, quick: bool = False
    ) -> None:
        self.name = name
        self.title = title
        self.baseline = baseline
        self.quick = quick
        self.machine: Machine = describe(packages)
        self.results: list[Result] = []
        self.aims: list[Aim] = []
        self.skipped: dict[str, str] = {}
        self.notes: list[str] = []
        self._started = time.monotonic()

    def add(
        self, measure: str, peer: str, samples: Sequence[float], *, unit: str, better: Better = "higher"
    ) -> Result:
        """Take in what a peer reached in a measure, one sample a round."""
        if not samples:
            raise ValueError(f"{self.name}: {peer} has no samples of {measure!r}; use skip() and say why")
        if self.find(measure, peer) is not None:
            raise ValueError(f"{self.name}: {peer} has results of {measure!r} already")
        result = Result(measure, peer, unit, better, tuple(map(float, samples)))
        self.results.append(result)
        return result

    def skip(self, peer: str, reason: str) -> None:
        """Say why a peer has no results."""
        self.skipped[peer] = " ".join(reason.split())

    def note(self, text: str) -> None:
        """Something to know when reading the figures."""
        self.notes.append(text)

    def aim(self, text: str, measure: str, peer: str, *, at_least: float, against: str | None = None) -> None:
        """Show whether a peer is so many times better than another (by default the baseline)."""
        self.aims.append(Aim(text, measure, peer, against or self.baseline, at_least))

    def aim_at(
        self,
        text: str,
        measure: str,
        peer: str,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Show whether a peer's own figure is on the right side of a bound, in the measure's unit."""
        self.aims.append(Aim(text, measure, peer, "", at_least, absolute=True, at_most=at_most))

    def find(self, measure: str, peer: str) -> Result | None:
        """The result of a peer in a measure."""
        return next((r for r in self.results if (r.measure, r.peer) == (measure, peer)), None)

    def ratio(self, measure: str, peer: str, against: str | None = None) -> float | None:
        """How many times better a peer is; None when one of the two has no result."""
        ours, theirs = self.find(measure, peer), self.find(measure, against or self.baseline)
        return ours.times_better(theirs) if ours and theirs else None

    def reached(self, aim: Aim) -> float | None:
        """What was reached of an aim."""
        if not aim.absolute:
            return self.ratio(aim.measure, aim.peer, aim.against)
        found = self.find(aim.measure, aim.peer)
        return found.median if found else None

    def met(self, aim: Aim) -> bool | None:
        """Whether an aim is reached; None when it was not measured."""
        reached = self.reached(aim)
        if reached is None:
            return None
        return (aim.at_least is None or reached >= aim.at_least) and (
            aim.at_most is None or reached <= aim.at_most
        )

    @property
    def peers(self) -> list[str]:
        """Peers with results, the baseline first, then in the order they came."""
        names = dict.fromkeys(result.peer for result in self.results)
        return sorted(names, key=lambda peer: peer != self.baseline)

    @property
    def measures(self) -> list[str]:
        """Measures in the order they came."""
        return list(dict.fromkeys(result.measure for result in self.results))

    def table(self) -> str:
        """Medians, and in brackets how many times better than the baseline; then the aims."""
        peers = self.peers
        rows = [["", "", *peers]]
        for measure in self.measures:
            unit = next(result.unit for result in self.results if result.measure == measure)
            rows.append([measure, unit, *(self._cell(measure, peer) for peer in peers)])
        lines = [f"{self.title}{' (quick)' if self.quick else ''}", *_aligned(rows)]
        if self.aims:
            lines += ["", *_aligned([["aim", "", "reached", ""], *map(self._aim_row, self.aims)])]
        lines += [f"skipped: {peer}: {reason}" for peer, reason in self.skipped.items()]
        return "\n".join([*lines, *self.notes, self.machine.line()])

    def _cell(self, measure: str, peer: str) -> str:
        result = self.find(measure, peer)
        if result is None:
            return "–"
        ratio = self.ratio(measure, peer)
        shown = shorten(result.median)
        return shown if ratio is None or peer == self.baseline else f"{shown} ({shorten(ratio)}×)"

    def _aim_row(self, aim: Aim) -> list[str]:
        reached, sign = self.reached(aim), "" if aim.absolute else "×"
        bounds = [(">=", aim.at_least), ("<=", aim.at_most)]
        wanted = " ".join(f"{word} {shorten(bound)}{sign}" for word, bound in bounds if bound is not None)
        if reached is None:
            return [aim.text, wanted, "–", "not measured"]
        return [aim.text, wanted, f"{shorten(reached)}{sign}", "reached" if self.met(aim) else "SHORT"]

    def to_json(self) -> dict[str, Any]:
        """Everything, with every sample."""
        return {
            "benchmark": self.name,
            "title": self.title,
            "baseline": self.baseline,
            "quick": self.quick,
            "took_s": round(time.monotonic() - self._started, 1),
            "machine": asdict(self.machine),
            "results": [
                {
                    **asdict(result),
                    "median": result.median,
                    "least": min(result.samples),
                    "most": max(result.samples),
                    "times_better_than_baseline": self.ratio(result.measure, result.peer),
                }
                for result in self.results
            ],
            "aims": [
                {**asdict(aim), "reached": self.reached(aim), "met": self.met(aim)} for aim in self.aims
            ],
            "skipped": self.skipped,
            "notes": self.notes,
        }

    def publish(
        self, folder: Path = FOLDER, *, chart: Sequence[str] | None = None, log_scale: bool = False
    ) -> Path:
        """Print the table, write JSON and chart; returns the JSON's path.

        Args:
            folder: Where they go.
            chart: The measures that the chart shows; by default the first twelve.
            log_scale: For peers that lie far apart.
        """
        print(self.table(), flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n")
        shown = [measure for measure in (chart or self.measures[:12]) if measure in self.measures]
        panels = [self._panel(measure) for measure in shown]
        if panels:
            charts.draw(
                path.with_suffix(".svg"), self.title, panels, self.machine.line(), log_scale=log_scale
            )
        return path

    def _panel(self, measure: str) -> charts.Panel:
        found = [result for peer in self.peers if (result := self.find(measure, peer)) is not None]
        bars = tuple(
            charts.Bar(
                result.peer,
                result.median,
                self._cell(measure, result.peer),
                least=min(result.samples),
                most=max(result.samples),
                is_baseline=result.peer == self.baseline,
            )
            for result in found
        )
        arrow = {"higher": " (more is better)", "lower": " (less is better)", "neither": ""}[found[0].better]
        return charts.Panel(f"{measure}, {found[0].unit}{arrow}", bars)


def shorten(value: float) -> str:
    """Three figures are all that a measurement is good for."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}"


def _aligned(rows: list[list[str]]) -> list[str]:
    """Text left, figures right; a column is as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
