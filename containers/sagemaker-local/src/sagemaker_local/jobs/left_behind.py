"""What a program left below ``/opt/ml``, read by the server: never further than the program could.

A program may put a link in place of a file or of the whole model folder. In its sandbox the link leads
nowhere; out here it could lead to the server's keys, which the server would then upload for it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sagemaker_local.jobs.outcome import client_error

TEXT_MAXIMUM_BYTES = 64 * 1024


def leads_away(path: Path) -> bool:
    """Whether a link stands in the place of the path or of a folder above it."""
    return os.path.realpath(path) != os.path.abspath(path)


def require_own(path: Path) -> None:
    """Refuse to take what is not the program's.

    Raises:
        JobFailed: a link stands in its place.
    """
    if leads_away(path):
        raise client_error(f"{path.name} cannot be uploaded: a link stands in its place")


def text(path: Path, maximum_bytes: int = TEXT_MAXIMUM_BYTES) -> str:
    """The beginning of a text file; empty when there is none, or a link, or something that is no file."""
    return head(path, maximum_bytes).decode("utf-8", "replace").strip()


def head(path: Path, maximum_bytes: int) -> bytes:
    """The first bytes of a file; none when it is missing, a link, or no file."""
    if leads_away(path):
        return b""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(maximum_bytes) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
