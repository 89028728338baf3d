"""Which tests share a running stack: they come in a row, on one worker; the stack ends with the last.

A stack that waits for the end of the session costs those that work beside it a third of a core.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demo.stack import Stack

SQLITE, POSTGRESQL = "sqlite house", "postgresql house"
SHARED = {
    "test_bank_marketing.py": SQLITE,
    "test_digits.py": SQLITE,
    "test_failures.py": SQLITE,
    "test_restart.py": SQLITE,
    "test_deaths.py": POSTGRESQL,
    "test_task_log.py": POSTGRESQL,
}
"""By the file of a test in ``tests/e2e`` or ``tests/faults``; others have a stack of their own."""

_running: dict[str, Stack] = {}


def house_of(path: Path) -> str | None:
    """The stack that the tests of a file use; None for files that use none."""
    if path.parent.name not in ("e2e", "faults"):
        return None
    return SHARED.get(path.name, path.stem)


def keep(name: str, stack: Stack) -> None:
    """Stop this stack when its tests are over."""
    _running[name] = stack


def stop(name: str | None) -> None:
    """The tests of a stack are over."""
    if name in _running:
        _running.pop(name).stop()
