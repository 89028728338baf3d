"""The table of who stops a paid job is the matrix that the fault tests play."""

from __future__ import annotations

from pathlib import Path

from tests.faults.user_actions.cells import MATRIX, Where, Who

PAGE = Path(__file__).parents[2] / "docs" / "user-actions.md"


def rows(first_heading: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading."""
    lines = iter(PAGE.read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {first_heading} |"):
            break
    header = [[cell.strip() for cell in line.strip("|").split("|")]]
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            break
        header.append([cell.strip() for cell in line.strip("|").split("|")])
    return header


def test_the_table_is_what_is_tested() -> None:
    header, *body = rows("What happens")
    assert header[1:] == [where.value for where in Where]
    assert {row[0]: row[1:] for row in body} == {
        action.value: [who.value for who in cells.values()] for action, cells in MATRIX.items()
    }


def test_everybody_who_stops_a_job_is_explained() -> None:
    _, *body = rows("Who")
    assert {row[0] for row in body} == {who.value for who in Who}
