"""Reports: medians, ratios that say how many times better, aims, files."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import charts, machine
from benchmarks.reporting import Report, shorten


def report() -> Report:
    found = Report("try", "Trial", "slow", ["numpy", "no-such-package"])
    found.add("one row", "quick", [5.0, 4.0, 100.0], unit="µs", better="lower")
    found.add("one row", "slow", [100.0, 100.0, 1000.0], unit="µs", better="lower")
    found.add("rate", "slow", [10, 20, 30], unit="rows/s")
    found.add("rate", "quick", [100, 100], unit="rows/s")
    found.add("memory", "quick", [50], unit="MB", better="neither")
    return found


def test_a_ratio_is_the_median_over_rounds_of_how_many_times_better() -> None:
    assert report().ratio("one row", "quick") == 20.0  # of 20, 25 and 10, not the medians' 100 / 5
    assert report().ratio("one row", "slow", against="quick") == 1 / 20
    assert report().ratio("rate", "quick") == 5.0  # rounds do not pair: medians
    assert report().ratio("memory", "quick") is None
    assert report().ratio("one row", "absent") is None


def test_rounds_without_an_answer_have_no_ratio() -> None:
    found = Report("try", "Trial", "slow")
    found.add("rate", "slow", [0.0], unit="requests/s")
    found.add("rate", "quick", [5.0], unit="requests/s")
    assert found.ratio("rate", "quick") is None


def test_a_figure_is_said_once() -> None:
    with pytest.raises(ValueError, match="results of 'rate' already"):
        report().add("rate", "slow", [1], unit="rows/s")
    with pytest.raises(ValueError, match="no samples"):
        report().add("other", "slow", [], unit="rows/s")


def test_aims_are_met_or_short_or_not_measured() -> None:
    found = report()
    found.aim("reached", "one row", "quick", at_least=20)
    found.aim("missed", "one row", "quick", at_least=20.5)
    found.aim("unknown", "one row", "absent", at_least=1)
    found.aim_at("small", "memory", "quick", at_most=49)
    assert [found.met(aim) for aim in found.aims] == [True, False, None, False]
    table = found.table()
    assert "reached  >= 20.0×    20.0×       reached" in table
    assert "SHORT" in table.split("small")[1]
    assert "not measured" in table.split("unknown")[1].splitlines()[0]


def test_the_table_has_the_baseline_first_and_says_who_is_missing_and_where() -> None:
    found = report()
    found.skip("third", "no\n  Java")
    lines = found.table().splitlines()
    assert lines[1].split() == ["slow", "quick"]
    assert lines[2].split() == ["one", "row", "µs", "100", "5.00", "(20.0×)"]
    assert lines[4].split() == ["memory", "MB", "–", "50.0"]
    assert "skipped: third: no Java" in lines
    assert "numpy 2" in lines[-1]
    assert "no-such-package not installed" in lines[-1]
    assert f"commit {machine.describe().commit}" in lines[-1]


def test_publishing_writes_every_sample_and_a_chart_that_repeats(tmp_path: Path) -> None:
    path = report().publish(tmp_path / "new")
    written = json.loads(path.read_text())
    assert written["results"][0]["samples"] == [5.0, 4.0, 100.0]
    assert written["results"][0] | {"samples": ()} == {
        "measure": "one row", "peer": "quick", "unit": "µs", "better": "lower", "samples": (), "median": 5.0,
        "least": 4.0, "most": 100.0, "times_better_than_baseline": 20.0,
    }  # fmt: skip
    chart = path.with_suffix(".svg")
    texts = "".join(ET.parse(chart).getroot().itertext())  # noqa: S314  # our own
    for text in ("quick", "5.00 (20.0×)", "rate, rows/s (more is better)", "one row, µs (less is better)"):
        assert text in texts
    assert chart.stat().st_size < 50_000


def test_the_same_figures_make_the_same_bytes(tmp_path: Path) -> None:
    bars = (
        charts.Bar("a", 1.0, "1", 0.5, 2.0, is_baseline=True),
        charts.Bar("b", 900.0, "900", 900.0, 900.0),
    )
    panels = [charts.Panel("one", bars), charts.Panel("two", bars[:1])]
    first, second = (
        charts.draw(tmp_path / f"{name}.svg", "t", panels, "f", log_scale=True).read_bytes() for name in "ab"
    )
    assert first == second
    assert charts.draw(tmp_path / "c.png", "t", panels, "f").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12345.6, "12,346"), (99.94, "99.9"), (5.0, "5.00"), (0.1234, "0.12"), (0.01234, "0.0123")],
)
def test_figures_are_as_long_as_they_are_true(value: float, text: str) -> None:
    assert shorten(value) == text
