"""Which of the host's top-level directories a sandboxed program sees."""

from __future__ import annotations

import os
import stat

FRESH = ("home", "media", "mnt", "opt", "root", "srv", "tmp")
"""Empty in a sandbox but for what the image and the job put there."""

OWN = frozenset({"dev", "proc", "lost+found"})
"""Made by the sandbox itself, or of no use."""


def visible_directories() -> list[str]:
    """Top-level directories that are shown read-only, such as /usr and /etc."""
    return [
        entry.path
        for entry in sorted(os.scandir("/"), key=lambda entry: entry.name)
        if entry.name not in OWN.union(FRESH)
        and stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode)
        and os.access(entry.path, os.X_OK)
    ]


def links() -> list[tuple[str, str]]:
    """Top-level links, such as /bin to usr/bin, with their targets."""
    return [
        (entry.path, os.readlink(entry.path))
        for entry in sorted(os.scandir("/"), key=lambda entry: entry.name)
        if entry.is_symlink() and entry.name not in FRESH
    ]
