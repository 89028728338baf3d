"""The part of docs/performance.md that is measured: aims with what was reached, charts, the machine.

    .venv/bin/python -m benchmarks.documents

takes what the last runs left in ``build/bench``, writes it between the marks of the document, copies the
charts beside it, and lists the documents there. Benchmarks that were not run keep what the document has of
them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.__main__ import BENCHMARKS
from benchmarks.machine import ROOT, Machine
from benchmarks.reporting import FOLDER, shorten

DOCUMENT = ROOT / "docs" / "performance.md"
CHARTS = ROOT / "docs" / "performance"
MEASURED, PARTS = "measured", "parts"
"""What is written by this program; the rest of the document is people's."""


def aims_table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each aim: what was wanted, what was reached, by which benchmark."""
    lines = ["| Aim | At least or at most | Reached | Benchmark |", "|---|---|---|---|"]
    for name, report in reports.items():
        for aim in report["aims"]:
            text = aim["text"].replace("|", r"\|")
            lines.append(f"| {text} | {_wanted(aim)} | {_reached(aim)} | `{name}` |")
    return "\n".join(lines)


def _wanted(aim: Mapping[str, Any]) -> str:
    sign = "" if aim["absolute"] else "×"
    bounds = [("at least", aim["at_least"]), ("at most", aim["at_most"])]
    return ", ".join(f"{word} {shorten(bound)}{sign}" for word, bound in bounds if bound is not None)


def _reached(aim: Mapping[str, Any]) -> str:
    if aim["reached"] is None:
        return "not measured"
    text = f"{shorten(aim['reached'])}{'' if aim['absolute'] else '×'}"
    return text if aim["met"] else f"**{text}, short**"


def charts(reports: Mapping[str, Mapping[str, Any]], folder: Path) -> str:
    """Each chart, and what was skipped."""
    parts = []
    for name, report in reports.items():
        if (folder / f"{name}.svg").exists():
            parts.append(f"![{report['title']}](performance/{name}.svg)")
        parts += [f"Not measured: {peer}: {reason}" for peer, reason in report["skipped"].items()]
    return "\n\n".join(parts)


def machines(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The machine of each report in a line."""
    return "\n".join(
        f"- `{name}`{' (quick)' if report['quick'] else ''}: {Machine(**report['machine']).line()}"
        for name, report in reports.items()
    )


def parts(folder: Path) -> str:
    """A link to every document beside the charts, by its heading."""
    headings = {path: path.read_text().splitlines()[0].lstrip("# ") for path in sorted(folder.glob("*.md"))}
    return "\n".join(f"- [{heading}](performance/{path.name})" for path, heading in headings.items())


def marks(name: str) -> tuple[str, str]:
    """What stands around a part that is written here."""
    return f"<!-- {name}: python -m benchmarks.documents -->", f"<!-- end of {name} -->"


def fill(text: str, name: str, content: str) -> str:
    """The document with one part replaced.

    Raises:
        ValueError: its marks are not there.
    """
    begin, end = marks(name)
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no part between {begin} and {end}")
    return pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)


def main() -> None:
    """Copy what was measured, and write the document."""
    CHARTS.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.json"):
        if path.with_suffix(".svg").exists():
            shutil.copy(path, CHARTS)
            shutil.copy(path.with_suffix(".svg"), CHARTS)
    order = [benchmark.name for benchmark in BENCHMARKS]
    paths = [path for name in order if (path := CHARTS / f"{name}.json").exists()]
    reports = {path.stem: json.loads(path.read_text()) for path in paths}
    measured = (
        f"{aims_table(reports)}\n\n{charts(reports, CHARTS)}\n\nMachines and moments:\n\n{machines(reports)}"
    )
    text = fill(DOCUMENT.read_text(), MEASURED, measured)
    DOCUMENT.write_text(fill(text, PARTS, parts(CHARTS)))
    print(f"{DOCUMENT.relative_to(ROOT)}: {', '.join(reports)}")


if __name__ == "__main__":
    main()
