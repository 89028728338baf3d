"""Reference documents and the tables in them.

A table belongs to the heading above it; the first column holds the names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CODE = re.compile(r"`([^`]+)`")

Row = list[str]


class Document:
    """A Markdown file cut at its headings."""

    def __init__(self, name: str) -> None:
        self.path = DOCS / f"{name}.md"
        self.text = self.path.read_text()
        self.sections: dict[str, str] = {}
        heading, fenced = "", False
        for line in self.text.splitlines():
            fenced ^= line.startswith("```")
            if line.startswith("#") and not fenced:
                heading = line.lstrip("#").strip()
                assert heading not in self.sections, f"{self.path.name} has the heading {heading!r} twice"
                self.sections[heading] = ""
            else:
                self.sections[heading] = self.sections.get(heading, "") + line + "\n"

    def section(self, name: str) -> str:
        """The text below the heading that is ``name``, or has it as code."""
        found = [text for heading, text in self.sections.items() if name in (heading, *CODE.findall(heading))]
        assert len(found) == 1, f"{self.path.name}: {len(found)} headings for {name}, need one"
        return found[0]

    def rows(self, section: str) -> dict[str, Row]:
        """The rows of a section's tables by the code in their first column."""
        rows: dict[str, Row] = {}
        for line in self.section(section).splitlines():
            if line.startswith("| `"):
                cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
                for name in CODE.findall(cells[0]):
                    assert name not in rows, f"{self.path.name}, {section}: {name} twice"
                    rows[name] = cells
        return rows


def same(documented: Mapping[str, Any] | set[str], real: Mapping[str, Any] | set[str], where: str) -> None:
    assert set(documented) == set(real), (
        f"{where}: lacks {sorted(set(real) - set(documented))}, invents {sorted(set(documented) - set(real))}"
    )
