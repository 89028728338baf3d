"""How much memory a container's processes use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and everything below it; pages that forks share count for each."""
    total = 0
    waiting = [pid]
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        with contextlib.suppress(OSError, ValueError, IndexError):  # it ended meanwhile
            total += int((process / "statm").read_text().split()[1]) * PAGE_BYTES
            for thread in (process / "task").iterdir():
                waiting += [int(child) for child in (thread / "children").read_text().split()]
    return total


def machine_bytes() -> int:
    """The machine's memory."""
    return PAGE_BYTES * os.sysconf("SC_PHYS_PAGES")
