"""Whoever catches everything says why, beside it."""

from __future__ import annotations

import re
from pathlib import Path

SOURCE = Path(__file__).parents[4] / "containers" / "sagemaker-local" / "src" / "sagemaker_local"
BROAD = re.compile(r"except (Base)?Exception( as \w+)?:")


def test_every_broad_exception_has_its_reason() -> None:
    silent = []
    for path in SOURCE.rglob("*.py"):
        lines = path.read_text().splitlines()
        for number, (line, after) in enumerate(zip(lines, [*lines[1:], ""], strict=True), start=1):
            if not BROAD.search(line) or "#" in line or after.lstrip().startswith("#"):
                continue
            if not raised_again(lines[number:]):
                silent.append(f"{path.relative_to(SOURCE)}:{number}")
    assert silent == []


def raised_again(after: list[str]) -> bool:
    """Whether a handler, whose lines these begin with, only cleans up."""
    indent = len(after[0]) - len(after[0].lstrip())
    body = []
    for line in after:
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            break
        body.append(line.strip())
    return "raise" in body
